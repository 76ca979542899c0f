"""What no stack owns on this machine: a table of kinds, each found and removed in its own way.

In the order in which they can be removed: a bake's machine before its half artifact.
"""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.ownership import Ask, Leftover
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError, RetirementError
from immutable_servers.system import places
from immutable_servers.system.file_locks import is_unheld, remove_unheld
from immutable_servers.system.half_folders import find_left_halves, remove_half
from immutable_servers.targets.local import consoles, layout, ports, probes
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.left_stacks import (
    BALANCER,
    FLEET,
    STACK,
    find_left_stacks,
    find_weight,
    measure,
    remove_from_stack,
)
from immutable_servers.targets.local.strays import Stray, end_stray, find_strays

_DAY = 24 * 3600
"""Longer than any bake or run of checks may take."""


@dataclass(frozen=True)
class Kind:
    """A kind of leftover that needs no state to be asked.

    Attributes:
        find: Yields what there is now.
        remove: Removes one that was just found again; says whether it did.
    """

    find: Callable[[], Iterator[Leftover]]
    remove: Callable[[str], bool]


def find_leftovers(ask: Ask) -> list[Leftover]:
    """Return what no stack owns, in the order in which it can be removed."""
    unowned = [one for kind in KINDS.values() for one in kind.find()]
    return [*unowned, *find_left_stacks(ask)]


def remove_leftover(leftover: Leftover, ask: Ask) -> bool:
    """Remove one after a second look; say whether it was there, and left over still.

    Raises:
        RetirementError: The balancer sends it traffic.
    """
    if leftover.kind in {STACK, FLEET, BALANCER}:
        return remove_from_stack(leftover, ask)
    kind = KINDS[leftover.kind]
    again = next((one for one in kind.find() if one.name == leftover.name), None)
    return kind.remove(leftover.name) if again else False


def tidy(scope: Scope, declared: Collection[str]) -> None:
    """Remove what dead runs have left and what is proved to serve nobody; nobody is asked.

    Of the stack's own: login keys of generations that `declared` does not name and that have no
    fleet.
    """
    # What cannot go now goes another time: an update does not fail for it.
    with suppress(OSError):
        _remove_keys(scope, declared)
    for kind in KINDS.values():
        with suppress(OSError, ImmutableError):
            for leftover in kind.find():
                if leftover.sure:
                    kind.remove(leftover.name)


def _remove_keys(scope: Scope, declared: Collection[str]) -> None:
    for folder in layout.generations_dir(scope).glob("*/"):
        is_empty = read_record(folder) is None and not (folder / "servers").exists()
        if is_empty and folder.name not in declared:
            layout.remove_folder(folder)


def _find_machines() -> Iterator[Leftover]:
    for stray in find_strays():
        weight = find_weight(stray.scope) if stray.scope and not stray.bakes else 0
        what = "of a bake that is dead" if stray.bakes else f"its folder {stray.folder} is gone"
        why = f"{stray.program}, {what}"
        if weight:
            why += f"; the balancer sends its generation {weight} % of the traffic"
        elif not stray.bakes and stray.program == "haproxy":
            why += "; it may serve"
        serves = not stray.bakes and (bool(weight) or stray.program == "haproxy")
        yield Leftover("machine", str(stray.pid), why, sure=not serves)


def _remove_machine(name: str) -> bool:
    found: Stray | None = next((one for one in find_strays() if str(one.pid) == name), None)
    if found is None:
        return False
    if found.scope and find_weight(found.scope):
        raise RetirementError(
            f"The machine {name} serves, so it is not ended",
            facts=[f"{found.program} of {found.folder}"],
            todo="Run ./immutable up on its stack: it makes a new generation first.",
        )
    end_stray(found)
    return True


def _find_probes() -> Iterator[Leftover]:
    for folder in sorted(layout.stacks_dir().glob("*/*/probes/*/")):
        lock = folder / "lock"
        if not lock.exists() or is_unheld(lock):
            name = str(folder.relative_to(layout.stacks_dir()))
            yield Leftover("probe", name, "its run has ended", measure(folder))


def _remove_probe(name: str) -> bool:
    folder = layout.stacks_dir() / name
    removed = probes.remove_stale_probe(folder)
    for parent in list(folder.parents)[:4]:
        with suppress(OSError):
            parent.rmdir()
    return removed


def _find_halves() -> Iterator[Leftover]:
    parents = [*layout.images_dir().glob("*/"), places.data_dir() / "upstream"]
    for half in (one for parent in parents for one in find_left_halves(parent)):
        name = str(half.relative_to(places.data_dir()))
        yield Leftover("half artifact", name, "who made it is gone", measure(half))


def _remove_half(name: str) -> bool:
    remove_half(places.data_dir() / name)
    return True


def _find_ports() -> Iterator[Leftover]:
    for file in ports.find_left_ports():
        whose = ports.find_owner(int(file.name)) or "a folder that nobody named"
        yield Leftover("port", file.name, f"reserved for {whose}, which is gone")


def _find_locks() -> Iterator[Leftover]:
    folder = places.data_dir() / "locks"
    for file in sorted(path for path in folder.glob("*/*") if path.is_file()):
        if is_unheld(file):
            yield Leftover("lock", str(file.relative_to(folder)), "its holder is gone")


def _remove_lock(name: str) -> bool:
    return remove_unheld(places.data_dir() / "locks" / name)


def _find_sockets() -> Iterator[Leftover]:
    for folder in sorted(places.runtime_root().glob("*/")):
        link = folder / places.OWNER_LINK
        rest = {path.name for path in folder.iterdir()} - {places.OWNER_LINK}
        ours = link.is_symlink() and places.data_dir().resolve() in link.readlink().parents
        if (ours or not rest) and not link.exists() and _is_old(folder, _DAY if not ours else 0):
            whose = str(link.readlink()) if link.is_symlink() else "a folder that nobody named"
            yield Leftover("sockets", folder.name, f"of {whose}, which is gone", measure(folder))
    shared = places.find_runtime_dir(places.data_dir())
    for folder in sorted([*shared.glob("packer-*/"), *shared.glob("checks-*/")]):
        if _is_old(folder, _DAY):
            name = f"{shared.name}/{folder.name}"
            yield Leftover("sockets", name, "of a run of more than a day ago", measure(folder))


def _remove_sockets(name: str) -> bool:
    shutil.rmtree(places.runtime_root() / name, ignore_errors=True)
    return True


def _find_consoles() -> Iterator[Leftover]:
    for file in consoles.find_old():
        name = str(file.relative_to(places.data_dir()))
        size = file.stat().st_size
        yield Leftover("console log", name, "its server is gone for more than a week", size)


def _remove_console(name: str) -> bool:
    consoles.remove_log(places.data_dir() / name)
    return True


def _is_old(path: Path, seconds: float) -> bool:
    return time.time() - path.stat().st_mtime >= seconds


KINDS: Mapping[str, Kind] = {
    "machine": Kind(_find_machines, _remove_machine),
    "probe": Kind(_find_probes, _remove_probe),
    "half artifact": Kind(_find_halves, _remove_half),
    "port": Kind(_find_ports, ports.drop_left_port),
    "lock": Kind(_find_locks, _remove_lock),
    "sockets": Kind(_find_sockets, _remove_sockets),
    "console log": Kind(_find_consoles, _remove_console),
}
