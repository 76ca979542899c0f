"""What no stack owns on this machine: a table of kinds, each found and removed in its own way.

In the order in which they can be removed: a bake's machine before its half artifact.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.ownership import Ask, Kind, Leftover
from immutable_servers.system import places
from immutable_servers.system.file_locks import is_unheld, remove_unheld
from immutable_servers.system.half_folders import find_left_halves, remove_half
from immutable_servers.targets.local import consoles, layout, ports, probes
from immutable_servers.targets.local.layout import measure
from immutable_servers.targets.local.strays import end_stray, find_strays
from immutable_servers.targets.shared.leftovers import find_weight, make_serving_error

_DAY = 24 * 3600
"""Longer than any bake or run of checks may take."""


def make_kinds(balancer: Balancer) -> Mapping[str, Kind]:
    """Return the kinds of leftovers that need no state to be asked."""
    return {
        "machine": Kind(partial(_find_machines, balancer), partial(_remove_machine, balancer)),
        "probe": Kind(_find_probes, _remove_probe),
        "half artifact": Kind(_find_halves, _remove_half),
        "port": Kind(_find_ports, lambda name, _ask: ports.drop_left_port(name)),
        "lock": Kind(_find_locks, _remove_lock),
        "sockets": Kind(_find_sockets, _remove_sockets),
        "console log": Kind(_find_consoles, _remove_console),
    }


def _find_machines(balancer: Balancer, _ask: Ask) -> Iterator[Leftover]:
    for stray in find_strays():
        weight = find_weight(balancer, stray.scope) if stray.scope and not stray.bakes else 0
        what = "of a bake that is dead" if stray.bakes else f"its folder {stray.folder} is gone"
        why = f"{stray.program}, {what}"
        if weight:
            why += f"; the balancer sends its generation {weight} % of the traffic"
        elif not stray.bakes and stray.program == "haproxy":
            why += "; it may serve"
        serves = not stray.bakes and (bool(weight) or stray.program == "haproxy")
        yield Leftover("machine", str(stray.pid), why, sure=not serves)


def _remove_machine(balancer: Balancer, name: str, _ask: Ask) -> bool:
    stray = next((stray for stray in find_strays() if str(stray.pid) == name), None)
    if stray is None:
        return False
    if stray.scope and find_weight(balancer, stray.scope):
        raise make_serving_error(Leftover("machine", name, f"{stray.program} of {stray.folder}"))
    end_stray(stray)
    return True


def _find_probes(_ask: Ask) -> Iterator[Leftover]:
    for folder in sorted(layout.stacks_dir().glob("*/*/probes/*/")):
        lock = folder / "lock"
        if not lock.exists() or is_unheld(lock):
            name = str(folder.relative_to(layout.stacks_dir()))
            yield Leftover("probe", name, "its run has ended", measure(folder))


def _remove_probe(name: str, _ask: Ask) -> bool:
    folder = layout.stacks_dir() / name
    removed = probes.remove_stale_probe(folder)
    for parent in list(folder.parents)[:4]:
        with suppress(OSError):
            parent.rmdir()
    return removed


def _find_halves(_ask: Ask) -> Iterator[Leftover]:
    parents = [*layout.images_dir().glob("*/"), places.data_dir() / "upstream"]
    for half in (half for parent in parents for half in find_left_halves(parent)):
        name = str(half.relative_to(places.data_dir()))
        yield Leftover("half artifact", name, "who made it is gone", measure(half))


def _remove_half(name: str, _ask: Ask) -> bool:
    remove_half(places.data_dir() / name)
    return True


def _find_ports(_ask: Ask) -> Iterator[Leftover]:
    for file in ports.find_left_ports():
        whose = ports.find_owner(int(file.name)) or "a folder that nobody named"
        yield Leftover("port", file.name, f"reserved for {whose}, which is gone")


def _find_locks(_ask: Ask) -> Iterator[Leftover]:
    folder = places.data_dir() / "locks"
    for file in sorted(path for path in folder.glob("*/*") if path.is_file()):
        if is_unheld(file):
            yield Leftover("lock", str(file.relative_to(folder)), "its holder is gone")


def _remove_lock(name: str, _ask: Ask) -> bool:
    return remove_unheld(places.data_dir() / "locks" / name)


def _find_sockets(_ask: Ask) -> Iterator[Leftover]:
    if not places.is_private(places.runtime_root()):  # nothing of ours is in it
        return
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


def _remove_sockets(name: str, _ask: Ask) -> bool:
    shutil.rmtree(places.runtime_root() / name, ignore_errors=True)
    return True


def _find_consoles(_ask: Ask) -> Iterator[Leftover]:
    for file in consoles.find_old():
        name = str(file.relative_to(places.data_dir()))
        size = file.stat().st_size
        yield Leftover("console log", name, "its server is gone for more than a week", size)


def _remove_console(name: str, _ask: Ask) -> bool:
    consoles.remove_log(places.data_dir() / name)
    return True


def _is_old(path: Path, seconds: float) -> bool:
    return time.time() - path.stat().st_mtime >= seconds
