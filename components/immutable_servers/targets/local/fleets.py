"""Launches, resizes, repairs and deletes fleets: folders of machines with a record."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import not_
from pathlib import Path
from typing import Any

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.contract.values import FleetSpec, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.system import places
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import balancer, consoles, layout, ssh
from immutable_servers.targets.local.artifacts import verify_artifact
from immutable_servers.targets.local.fleet_records import (
    FleetRecord,
    find_extra,
    find_missing,
    find_paused,
    find_server_folders,
    name_server,
    read_record,
    server_folder,
    write_record,
)
from immutable_servers.targets.local.machines import (
    MachineWish,
    find_machine,
    read_launch,
    remove_machine,
)
from immutable_servers.targets.local.servers import boot_servers, make_wish
from immutable_servers.targets.local.settings import LocalSettings

_LOCK_SECONDS = 300.0
_SHRINK_SECONDS = 30.0
_SEEN_SECONDS = 10.0
"""The balancer asks every 2 s."""
_WINDOW_SECONDS = 10 * 60
"""How long the login window of an adopted server must still be open."""
_FREE_FOR_ALL = 512 * 2**20
_FREE_FOR_EACH = 256 * 2**20
"""Bytes that must be free: an overlay starts empty and grows with what its server writes."""


def launch_fleet(spec: FleetSpec, settings: LocalSettings, say: Say, handle: str = "") -> None:
    """Launch a fleet, and wait until every server serves; adopt what a killed launch left.

    A fleet that was launched is completed, never made anew. A server that does not serve is no
    error here: it stays for inspection, and the verification says so. `handle` is the resource's
    own, which it deletes the fleet by.

    Raises:
        ImageError: The artifact is missing or corrupted.
        LaunchError: The disk is nearly full, or a machine cannot be started at all.
    """
    folder = layout.generation_dir(spec.scope)
    with _hold(folder):
        found = read_record(folder)
        if found and found.leaving:
            _delete(folder, spec.scope)
            found = None
        if found is None or not found.launched:
            size = found.size if found else settings.find_size(spec.launch.size)
            found = FleetRecord(spec, size)
            _remove_strangers(folder, found, settings)
        found = replace(found, handle=handle or found.handle)
        for failure in _boot(folder, found, settings, say):
            say(f"{failure.what}; it stays for inspection")


def resize_fleet(scope: Scope, servers: int, settings: LocalSettings, say: Say) -> None:
    """Give a fleet this number of servers, and start or make again those that are missing.

    New servers boot sealed once the login window is closed. Servers that go leave the balancer
    first.

    Raises:
        ImageError: The artifact is missing or corrupted.
        LaunchError: There is no such fleet, or a server does not serve before the deadline.
    """
    folder = layout.generation_dir(scope)
    with _hold(folder):
        found = read_record(folder)
        if found is None or found.leaving:
            raise LaunchError(
                f"The fleet {layout.backend_name(scope)} is gone",
                facts=[f"{folder} holds none, or its deletion has begun."],
                todo="Run ./immutable up: it makes a new round of the generation.",
            )
        found = replace(found, spec=replace(found.spec, servers=servers))
        going = find_extra(folder, servers)
        if going:
            _shrink(folder, found, going, say)
        for failure in _boot(folder, found, settings, say):
            raise failure


def delete_fleet(scope: Scope) -> None:
    """Delete a fleet, or what an earlier deletion left of it; a missing one is no error.

    Raises:
        RetirementError: The balancer points to it.
        TrafficError: The balancer cannot be read.
    """
    folder = layout.generation_dir(scope)
    refuse_if_serving(balancer.find_traffic(scope), scope)
    balancer.remove_backend(scope)
    if folder.exists():
        with _hold(folder):
            # Asked again under the lock: nothing that serves is deleted.
            refuse_if_serving(balancer.find_traffic(scope), scope)
            _delete(folder, scope)


def delete_left_fleet(scope: Scope, is_left: Callable[[], bool]) -> bool:
    """Delete a fleet that no stack owns; say whether `is_left`, asked under its lock, agreed."""
    folder = layout.generation_dir(scope)
    with _hold(folder):
        left = is_left()
        if left:
            _delete(folder, scope)
        return left


def check_space(servers: int) -> None:
    """Refuse to start servers on a disk that is nearly full.

    Raises:
        LaunchError: Too little is free.
    """
    folder = places.data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    free, wanted = shutil.disk_usage(folder).free, _FREE_FOR_ALL + servers * _FREE_FOR_EACH
    if free < wanted:
        raise LaunchError(
            "The disk is nearly full, so no server is started",
            facts=[f"{folder}: {free // 2**20} MB are free, wanted {wanted // 2**20} MB"],
            todo="Free some space, or move the folder: set XDG_DATA_HOME.",
        )


def _boot(
    folder: Path, record: FleetRecord, settings: LocalSettings, say: Say
) -> Sequence[LaunchError]:
    """Boot what does not run, tell the balancer of all, and return why some do not serve."""
    spec = record.spec
    missing = find_missing(spec.scope, spec.servers)
    paused = find_paused(spec.scope)
    if paused:
        say(f"resuming {', '.join(paused)}")
    if missing:
        check_space(len(missing))
        verify_artifact(layout.images_dir(), spec.artifact)
        say(f"booting {', '.join(missing)}")
    write_record(folder, record)
    wishes = _make_wishes(folder, record, settings)
    machines, failures = boot_servers(wishes, spec.launch.health, settings)
    servers = {machine.name: machine.http_port for machine in machines.values()}
    balancer.register_backend(spec.scope, spec.launch.health, servers)
    write_record(folder, replace(record, launched=record.launched or not failures))
    _refuse_paused(spec.scope)
    if (missing or paused) and not failures:
        _wait_until_seen(spec.scope)
    if missing or paused:
        say(f"{len(machines) - len(failures)} of {spec.servers} servers serve")
    return failures


def _refuse_paused(scope: Scope) -> None:
    """Fail for servers that stand still: nothing that is asked of them would be answered.

    Raises:
        LaunchError: There are some.
    """
    paused = find_paused(scope)
    if paused:
        free = shutil.disk_usage(places.data_dir()).free
        raise LaunchError(
            f"Servers of {layout.backend_name(scope)} stand still",
            facts=[
                *(f"{name} is paused: {why}" for name, why in paused.items()),
                f"{places.data_dir()}: {free // 2**20} MB are free",
            ],
            todo="Free some space, then run ./immutable up: they go on where they were.",
        )


def _wait_until_seen(scope: Scope) -> None:
    """Wait until the balancer has asked the servers that serve now: it may know them as down."""

    def find_down() -> list[str]:
        members = balancer.find_members(scope)
        return [name for name, state in members.items() if state.startswith("DOWN")]

    what = f"waiting for the balancer to see {scope.name}"
    wait_until(what, _SEEN_SECONDS, find_down, done=not_, every=0.2)


def _shrink(folder: Path, record: FleetRecord, going: list[Path], say: Say) -> None:
    spec = record.spec
    write_record(folder, record)
    found = {path: find_machine(path) for path in find_server_folders(folder)}
    staying = {one.name: one.http_port for path, one in found.items() if one and path not in going}
    names = [name_server(spec.scope, int(path.name)) for path in going]
    say(f"removing {', '.join(names)}")
    balancer.register_backend(spec.scope, spec.launch.health, staying)
    balancer.drain_servers(spec.scope, names, _SHRINK_SECONDS)
    consoles.keep_consoles(spec.scope, going)
    for path in going:
        remove_machine(path)


def _remove_strangers(folder: Path, record: FleetRecord, settings: LocalSettings) -> None:
    """Remove servers of a launch that never ended, when they were handed something else."""
    wishes = _make_wishes(folder, record, settings)
    for path in find_server_folders(folder):
        if path not in wishes or not _is_same_make(read_launch(path), wishes[path].launch):
            remove_machine(path)


def _is_same_make(handed: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether launch data differs in nothing but a window that is open long enough."""
    soon = time.time() + _WINDOW_SECONDS
    is_open = handed.get("window_ends", 0) > soon or not wanted["window_ends"]
    return is_open and {**handed, "window_ends": 0} == {**wanted, "window_ends": 0}


def _make_wishes(
    folder: Path, record: FleetRecord, settings: LocalSettings
) -> dict[Path, MachineWish]:
    scope = record.spec.scope
    return {
        server_folder(folder, number): make_wish(
            record.spec, name_server(scope, number), record.size, settings
        )
        for number in range(record.spec.servers)
    }


def _delete(folder: Path, scope: Scope) -> None:
    if record := read_record(folder):
        write_record(folder, replace(record, leaving=True))
    balancer.remove_backend(scope)
    ssh.end_shared_connections(folder)
    going = list(find_server_folders(folder))
    consoles.keep_consoles(scope, going)
    for path in going:
        remove_machine(path)
    layout.remove_folder(folder)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    with hold_lock(folder / "lock", _LOCK_SECONDS, f"the fleet {folder.name}"):
        yield
