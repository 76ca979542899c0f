"""The fleets of this machine: folders of machines with a record, one each for a generation."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.contract.values import (
    Drift,
    Fleet,
    FleetSpec,
    Health,
    Member,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import LaunchError
from immutable_servers.system import places
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import consoles, drift, fleet_records, layout, servers
from immutable_servers.targets.local.artifacts import verify_artifact
from immutable_servers.targets.local.balancer import LocalBalancer
from immutable_servers.targets.local.fleet_records import (
    FleetRecord,
    find_extra,
    find_machines,
    find_missing,
    find_paused,
    find_server_folders,
    name_server,
    read_record,
    server_folder,
    write_record,
)
from immutable_servers.targets.local.machine_parts import read_launch
from immutable_servers.targets.local.machines import (
    MachineWish,
    find_machine,
    release_earlier_ports,
    remove_machine,
)
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.shared.ssh import end_shared_connections

_LOCK_SECONDS = 300.0
_SHRINK_SECONDS = 30.0
_SEEN_SECONDS = 10.0
"""The balancer asks every 2 s."""
_ADOPTED_SECONDS = 10 * 60
"""How long the login window of an adopted server must still be open."""


class LocalFleets(Fleets):
    """Reads fleets from their folders; launches, resizes, repairs and deletes them."""

    balancer: LocalBalancer

    def __init__(self, balancer: LocalBalancer, settings: LocalSettings) -> None:
        super().__init__(balancer)
        self.settings = settings

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Read the service's folders."""
        return fleet_records.find_fleets(scope)

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Read the generation's folder."""
        return [
            Server(machine.name, f"http://{LOOPBACK}:{machine.http_port}")
            for machine in find_machines(scope).values()
        ]

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        del fleet, members  # HAProxy asks for itself
        record = read_record(layout.generation_dir(scope))
        machines = find_machines(scope)
        return servers.ask_all(machines, record.spec.launch.health) if record else ()

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return what servers said on their consoles, once for all that said the same."""
        said: dict[tuple[str, ...], list[str]] = {}
        for folder, machine in find_machines(scope).items():
            said.setdefault(tuple(consoles.find_words(folder)), []).append(machine.name)
        return [line for words, names in said.items() for line in _describe_said(names, words)]

    def find_given_up(self, scope: Scope) -> Mapping[str, str]:
        """Read in the consoles which units of the image have failed for good."""
        found = {
            machine.name: consoles.find_failed_units(folder)
            for folder, machine in find_machines(scope).items()
        }
        return {name: why for name, why in found.items() if why}

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        """Name the files, also those of servers that are gone."""
        return consoles.find_consoles(scope)

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        """Compare folders, disks, processes and the balancer's groups with the records."""
        return drift.find_drift(scope, self.balancer)

    def launch(self, spec: FleetSpec, say: Say, handle: str = "") -> None:
        """Launch a fleet, and wait until every server serves; adopt what a killed launch left.

        A fleet that was launched is completed, never made anew. A server that does not serve is no
        error here: it stays for inspection, and the verification reports it.

        Args:
            spec: The fleet's.
            say: Takes a line for what takes long.
            handle: Identifies the resource that may delete the fleet.

        Raises:
            ImageError: The artifact is missing or corrupted.
            LaunchError: The disk is nearly full, or a machine cannot be started at all.
        """
        folder = layout.generation_dir(spec.scope)
        with _hold(folder):
            found = read_record(folder)
            if found and found.leaving:
                self._remove(folder, spec.scope)
                found = None
            if found is None or not found.launched:
                size = found.size if found else self.settings.find_size(spec.launch.size)
                reach = found.reach if found else self.settings.describe_reach()
                found = FleetRecord(spec, size, reach)
                self._remove_strangers(folder, found)
            found = replace(found, handle=handle or found.handle)
            for failure in self._boot(folder, found, say):
                say(f"{failure.what}; it stays for inspection")

    def resize(self, scope: Scope, count: int, say: Say) -> None:
        """Bring a fleet to a number of servers, and start or make again those that are missing.

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
            found = replace(found, spec=replace(found.spec, servers=count))
            going = find_extra(folder, count)
            if going:
                self._shrink(folder, found, going, say)
            for failure in self._boot(folder, found, say):
                raise failure

    def _delete(self, scope: Scope) -> None:
        folder = layout.generation_dir(scope)
        self.balancer.remove(scope)
        if folder.exists():
            with _hold(folder):
                # Asked again under the lock: nothing that serves is deleted.
                refuse_if_serving(self.balancer.find_weights(scope), scope)
                self._remove(folder, scope)

    def delete_left(self, scope: Scope, is_left: Callable[[], bool]) -> bool:
        """Delete a fleet if `is_left`, asked under its lock, agrees; return whether it did."""
        folder = layout.generation_dir(scope)
        with _hold(folder):
            left = is_left()
            if left:
                self._remove(folder, scope)
            return left

    def _boot(self, folder: Path, record: FleetRecord, say: Say) -> Sequence[LaunchError]:
        """Boot what does not run, register all servers, and return why some do not serve."""
        spec = record.spec
        missing = find_missing(spec.scope, spec.servers)
        paused = find_paused(spec.scope)
        if paused:
            say(f"resuming {', '.join(paused)}")
        if missing:
            servers.check_space(len(missing))
            verify_artifact(layout.images_dir(), spec.artifact)
            say(f"booting {', '.join(missing)}")
        write_record(folder, record)
        wishes = self._make_wishes(folder, record)
        machines, failures = servers.boot_servers(wishes, spec.launch.health, self.settings)
        ports = {machine.name: machine.http_port for machine in machines.values()}
        self.balancer.register(spec.scope, spec.launch.health, ports)
        for path, machine in machines.items():
            release_earlier_ports(path, machine)
        write_record(folder, replace(record, launched=record.launched or not failures))
        _refuse_paused(spec.scope)
        if (missing or paused) and not failures:
            self._wait_until_seen(spec.scope)
        if missing or paused:
            say(f"{len(machines) - len(failures)} of {spec.servers} servers serve")
        return failures

    def _wait_until_seen(self, scope: Scope) -> None:
        """Wait until the balancer has asked servers that it may still have as down."""

        def are_up() -> bool:
            return all(member.up for member in self.balancer.find_members(scope).values())

        what = f"waiting for the balancer to see {scope.name}"
        wait_until(what, _SEEN_SECONDS, are_up, every=0.2)

    def _shrink(self, folder: Path, record: FleetRecord, going: list[Path], say: Say) -> None:
        spec = record.spec
        write_record(folder, record)
        found = {path: find_machine(path) for path in find_server_folders(folder)}
        staying = {
            machine.name: machine.http_port
            for path, machine in found.items()
            if machine and path not in going
        }
        names = [name_server(spec.scope, int(path.name)) for path in going]
        say(f"removing {', '.join(names)}")
        self.balancer.register(spec.scope, spec.launch.health, staying)
        self.balancer.drain_servers(spec.scope, names, _SHRINK_SECONDS)
        consoles.keep_consoles(spec.scope, going)
        for path in going:
            remove_machine(path)

    def _remove_strangers(self, folder: Path, record: FleetRecord) -> None:
        """Remove servers of a launch that never ended, when they were handed something else."""
        wishes = self._make_wishes(folder, record)
        for path in find_server_folders(folder):
            if path not in wishes or not _is_same_make(read_launch(path), wishes[path].launch):
                remove_machine(path)

    def _make_wishes(self, folder: Path, record: FleetRecord) -> dict[Path, MachineWish]:
        scope = record.spec.scope
        return {
            server_folder(folder, number): servers.make_wish(
                record.spec, name_server(scope, number), record.size, record.reach, self.settings
            )
            for number in range(record.spec.servers)
        }

    def _remove(self, folder: Path, scope: Scope) -> None:
        if record := read_record(folder):
            write_record(folder, replace(record, leaving=True))
        self.balancer.remove(scope)
        end_shared_connections(folder)
        going = list(find_server_folders(folder))
        consoles.keep_consoles(scope, going)
        for path in going:
            remove_machine(path)
        layout.remove_folder(folder)


def _refuse_paused(scope: Scope) -> None:
    """Refuse to go on while servers stand still: they answer nothing.

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


def _describe_said(names: Sequence[str], words: Sequence[str]) -> Sequence[str]:
    """Return what servers said, with their names."""
    who = ", ".join(names)
    return [f"{who}: its console says, by unit:", *words] if words else [f"{who}: it said nothing"]


def _is_same_make(handed: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether launch data differs in nothing but a window that is open long enough."""
    soon = time.time() + _ADOPTED_SECONDS
    is_open = handed.get("window_ends", 0) > soon or not wanted["window_ends"]
    return is_open and {**handed, "window_ends": 0} == {**wanted, "window_ends": 0}


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    with hold_lock(folder / "lock", _LOCK_SECONDS, f"the fleet {folder.name}"):
        yield
