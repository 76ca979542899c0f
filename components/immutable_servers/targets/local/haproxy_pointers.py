"""Reads and writes the pointers of a running HAProxy: one map, in every worker.

After a reload an earlier worker goes on with the connections it has, under its own copy of the map.
So whatever points traffic somewhere has to reach every worker (management guide, chapter 9.4).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local.haproxy_config import (
    MAP,
    is_marked_map,
    is_whole_map,
    parse_map,
    render_map,
)
from immutable_servers.targets.local.haproxy_socket import (
    EVERY,
    SECONDS,
    ask_current,
    ask_worker,
    find_workers,
    refused,
)

Pointers = Mapping[str, Mapping[str, int]]
"""Service to backend to weight."""
_SHOW = f"show map {MAP}"


def find_pointers(master: Path) -> dict[str, dict[str, int]]:
    """Return the current worker's pointers."""
    return _find_whole(master, lambda: ask_current(master, _SHOW))


def find_earlier_pointers(master: Path, worker: int) -> dict[str, dict[str, int]]:
    """Return an earlier worker's pointers; none when it has ended meanwhile."""
    return _find_whole(master, lambda: ask_worker(master, worker, _SHOW))


def write_pointers(master: Path, pointers: Pointers) -> None:
    """Replace the map of every worker, each at once, and read it back.

    An earlier worker that does not know a backend keeps its pointer to what it knows.

    Raises:
        TrafficError: A worker says something else afterwards.
    """

    def write() -> bool:
        workers = find_workers(master)
        for worker in workers.earlier:
            _write(master, worker, _limit_to_known(master, worker, pointers))
        return _write(master, workers.current, pointers)

    if not wait_until("the pointers", SECONDS, write, every=EVERY, stoppable=False):
        raise refused(master, "commit map", "its worker has ended")


def find_backends(master: Path, worker: int) -> set[str]:
    """Return the names of the backends that a worker knows."""
    return set(ask_worker(master, worker, "show backend").split("\n"))


def find_stale_workers(master: Path, backend: str) -> list[int]:
    """Return the earlier workers whose pointers still name a backend."""
    return [
        pid
        for pid in find_workers(master).earlier
        if any(backend in weights for weights in find_earlier_pointers(master, pid).values())
    ]


def _find_whole(master: Path, ask: Callable[[], str]) -> dict[str, dict[str, int]]:
    unmarked: list[str] = []

    def look() -> dict[str, dict[str, int]] | None:
        lines = _list(ask())
        if not is_marked_map(lines) and unmarked[-1:] != [lines]:
            # Read between two versions it can be empty, which an early program's may be too.
            unmarked.append(lines)
            return None
        return _parse(lines)

    found = wait_until("the pointers", SECONDS, look, done=_is_there, every=EVERY, stoppable=False)
    if found is None:
        raise refused(master, _SHOW, "it lists half of a map")
    return found


def _is_there(found: object) -> bool:
    return found is not None


def _list(said: str) -> str:
    """Return the lines of the map that `show map` lists."""
    # Each line is: address of the entry, key, value.
    return "\n".join(line.partition(" ")[2] for line in said.splitlines() if line.startswith("0x"))


def _parse(lines: str) -> dict[str, dict[str, int]] | None:
    """Return the pointers of a map, None for half of one."""
    return parse_map(lines) if is_whole_map(lines) else None


def _limit_to_known(master: Path, worker: int, pointers: Pointers) -> Pointers:
    known, kept = find_backends(master, worker), find_earlier_pointers(master, worker)
    return {
        service: weights if set(weights) <= known else kept.get(service, {})
        for service, weights in pointers.items()
    }


def _write(master: Path, worker: int, pointers: Pointers) -> bool:
    """Replace a worker's map until it is read back as it should be; return whether it still runs.

    What was cut off on its way is done again with another version of the map. Nobody uses one that
    was not committed, and the next commit removes it.
    """
    wanted = {service: dict(weights) for service, weights in pointers.items() if weights}
    found: Pointers | None = None

    def write() -> str:
        nonlocal found
        _replace_map(master, worker, pointers)
        said = ask_worker(master, worker, _SHOW)
        found = _parse(_list(said))
        return "ended" if not said else "written" if found == wanted else ""

    done = wait_until("the pointers", SECONDS, write, every=EVERY, stoppable=False)
    if not done:
        raise refused(master, "commit map", f"wanted {wanted}, it says {found or 'half of it'}")
    return done == "written"


def _replace_map(master: Path, worker: int, pointers: Pointers) -> None:
    """Give a worker a new version of the whole map, seen by its next request at once."""
    made = re.search(
        r"New version created: (\d+)", ask_worker(master, worker, f"prepare map {MAP}")
    )
    if made:
        ask_worker(master, worker, f"add map @{made[1]} {MAP} <<\n{render_map(pointers)}")
        ask_worker(master, worker, f"commit map @{made[1]} {MAP}")
