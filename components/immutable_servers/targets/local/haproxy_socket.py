"""Talks to a running HAProxy through its master's socket: the current worker and earlier ones.

After a reload an earlier worker goes on with the connections it has, under its own copy of the map.
So whatever points traffic somewhere has to reach every worker (management guide, chapter 9.4).
"""

import csv
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.values import Answers
from immutable_servers.errors import TrafficError
from immutable_servers.targets.local.haproxy_config import CONFIG_MARK, MAP, parse_map, render_map

Pointers = Mapping[str, Mapping[str, int]]
"""Service to backend to weight."""

_SECONDS = 10.0


@dataclass(frozen=True)
class Workers:
    """The processes of one HAProxy; `earlier` ones end with their last connection."""

    current: int
    earlier: tuple[int, ...]


def find_workers(master: Path) -> Workers:
    """Return the pids of the workers.

    Raises:
        TrafficError: The master does not answer, or has no worker.
    """
    pids: dict[str, list[int]] = {"# workers": [], "# old workers": []}
    section: list[int] = []
    for line in _talk(master, "show proc").splitlines():
        if line.startswith("# "):
            section = pids.setdefault(line.strip(), [])
        elif found := re.match(r"(\d+)\s+worker\b", line):
            section.append(int(found[1]))
    if not pids["# workers"]:
        raise _refused(master, "show proc", "it lists no worker")
    return Workers(pids["# workers"][0], tuple(pids["# old workers"]))


def find_config_digest(master: Path) -> str:
    """Return the digest of the configuration that the current worker runs."""
    info = ask_worker(master, find_workers(master).current, "show info")
    found = re.search(rf"^{CONFIG_MARK}: (\S+)", info, re.MULTILINE)
    return found[1] if found else ""


def find_pointers(master: Path, worker: int) -> dict[str, dict[str, int]]:
    """Return a worker's pointers."""
    lines = ask_worker(master, worker, f"show map {MAP}").splitlines()
    # Each line is: address of the entry, key, value.
    return parse_map("\n".join(line.partition(" ")[2] for line in lines if line.startswith("0x")))


def write_pointers(master: Path, pointers: Pointers) -> None:
    """Replace the map of every worker, each at once, and read the current one's back.

    An earlier worker that does not know a backend keeps its pointer to what it knows.

    Raises:
        TrafficError: The current worker says something else afterwards.
    """
    workers = find_workers(master)
    for worker in workers.earlier:
        known = find_backends(master, worker)
        kept = find_pointers(master, worker)
        _replace_map(
            master,
            worker,
            {
                service: weights if set(weights) <= known else kept.get(service, {})
                for service, weights in pointers.items()
            },
        )
    _replace_map(master, workers.current, pointers)
    wanted = {service: dict(weights) for service, weights in pointers.items() if weights}
    if (found := find_pointers(master, workers.current)) != wanted:
        raise _refused(master, "commit map", f"wanted {wanted}, it says {found}")


def find_backends(master: Path, worker: int) -> set[str]:
    """Return the names of the backends that a worker knows."""
    return set(ask_worker(master, worker, "show backend").split("\n"))


def find_servers_state(master: Path, backend: str) -> dict[str, str]:
    """Return server name to state (`UP`, `DOWN`, ...) as the current worker sees it."""
    rows = _read_stats(master, find_workers(master).current)
    return {
        row["svname"]: row["status"]
        for row in rows
        if row["pxname"] == backend and row["svname"] != "BACKEND"
    }


def count_sessions(master: Path, backend: str, servers: Sequence[str] = ("BACKEND",)) -> int:
    """Return how many requests a backend, or servers of it, have now, in all workers."""
    workers = find_workers(master)
    rows = [row for pid in (workers.current, *workers.earlier) for row in _read_stats(master, pid)]
    return sum(
        int(row["scur"] or 0) + int(row["qcur"] or 0)
        for row in rows
        if row["pxname"] == backend and row["svname"] in servers
    )


def count_answers(master: Path, backend: str) -> dict[str, Answers]:
    """Return by worker how many requests of a backend were answered, and how many with 5xx."""
    workers = find_workers(master)
    return {
        str(pid): Answers(
            requests=sum(int(row[f"hrsp_{digit}xx"] or 0) for digit in range(1, 6)),
            errors=int(row["hrsp_5xx"] or 0),
        )
        for pid in (workers.current, *workers.earlier)
        for row in _read_stats(master, pid)
        if row["pxname"] == backend and row["svname"] == "BACKEND"
    }


def find_stale_workers(master: Path, backend: str) -> list[int]:
    """Return the earlier workers whose pointers still name a backend."""
    return [
        pid
        for pid in find_workers(master).earlier
        if any(backend in weights for weights in find_pointers(master, pid).values())
    ]


def ask_worker(master: Path, worker: int, command: str) -> str:
    """Return what a worker answers; empty when it has ended meanwhile."""
    said = _talk(master, f"@!{worker} {command}")
    return "" if "Can't find the target" in said else said


def _replace_map(master: Path, worker: int, pointers: Pointers) -> None:
    """Give a worker a new version of the whole map, seen by its next request at once."""
    made = re.search(
        r"New version created: (\d+)", ask_worker(master, worker, f"prepare map {MAP}")
    )
    if made is None:  # A worker that has ended asks for nothing more.
        return
    if lines := render_map(pointers):
        ask_worker(master, worker, f"add map @{made[1]} {MAP} <<\n{lines}")
    ask_worker(master, worker, f"commit map @{made[1]} {MAP}")


def _read_stats(master: Path, worker: int) -> list[dict[str, str]]:
    text = ask_worker(master, worker, "show stat").strip().removeprefix("# ")
    return list(csv.DictReader(text.splitlines()))


def _talk(master: Path, command: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(master))
            connection.sendall(f"{command}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            parts = iter(lambda: connection.recv(65536), b"")
            return b"".join(parts).decode()
    except OSError as error:
        raise _refused(master, command.partition("\n")[0], str(error)) from error


def _refused(master: Path, command: str, fact: str) -> TrafficError:
    return TrafficError(
        "The balancer did not do as asked",
        facts=[f"{command}: {fact}", f"socket: {master}"],
        todo="Run the update again; ./immutable status says what serves.",
    )
