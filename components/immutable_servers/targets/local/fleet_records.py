"""Reads fleets from their records, and which of their servers are there, missing or paused.

```
record.json    the fleet's FleetSpec, and how far it got
key, key.pub   the login key, while the window is open
servers/<n>/   one machine each
lock           held by the run that changes the fleet
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Fleet, FleetSpec, Scope
from immutable_servers.system.files import read_json, write_json
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.artifacts import compute_base
from immutable_servers.targets.local.machines import (
    Machine,
    find_machine,
    find_machine_process,
    find_pause,
    is_rebaked,
)
from immutable_servers.targets.local.settings import Size


@dataclass(frozen=True)
class FleetRecord:
    """What `record.json` holds.

    Attributes:
        size: What the spec's size meant at the launch: a fleet that exists keeps it.
        reach: What its servers can connect to, as of `Machine`; the same.
        launched: All servers have served: from then on no server is made anew without need.
        leaving: The deletion has begun.
        handle: Of the resource that made or adopted the fleet last; empty in an older record.
    """

    spec: FleetSpec
    size: Size
    reach: Sequence[str] = ("nothing",)
    launched: bool = False
    leaving: bool = False
    handle: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "spec": self.spec.to_plain(),
            "size": self.size.model_dump(),
            "reach": list(self.reach),
            "launched": self.launched,
            "leaving": self.leaving,
            "handle": self.handle,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "FleetRecord":
        """Make the record from what `to_plain` returned."""
        spec, size = FleetSpec.from_plain(plain["spec"]), Size(**plain["size"])
        return cls(
            spec,
            size,
            plain.get("reach", ["network"]),  # as the machines of a record without it had
            plain["launched"],
            plain["leaving"],
            plain.get("handle", ""),
        )


def read_record(folder: Path) -> FleetRecord | None:
    """Return a fleet's record, or None where the folder holds no fleet."""
    plain = read_json(folder / "record.json")
    return FleetRecord.from_plain(plain) if plain else None


def write_record(folder: Path, record: FleetRecord) -> None:
    """Write a fleet's record, whole or not at all."""
    write_json(folder / "record.json", record.to_plain())


def seal_record(scope: Scope) -> None:
    """Note that a fleet's window is closed: whatever is started from now on boots sealed."""
    folder = layout.generation_dir(scope)
    if record := read_record(folder):
        sealed = replace(record.spec, public_key="", window_ends=0, inspection_key="")
        write_record(folder, replace(record, spec=sealed))


def find_fleets(scope: Scope) -> dict[str, Fleet]:
    """Return a service's fleets by generation id."""
    return {
        generation: _describe(folder, generation, record)
        for generation, (folder, record) in find_record_folders(scope).items()
    }


def find_record_folders(scope: Scope) -> dict[str, tuple[Path, FleetRecord]]:
    """Return the folders of a service's fleets with their records, by generation id."""
    found: dict[str, tuple[Path, FleetRecord]] = {}
    folder = layout.generations_dir(scope)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        service, _, generation = path.name.rpartition("-")
        record = read_record(path) if service == scope.service else None
        if record:
            found[generation] = (path, record)
    return found


def find_machines(scope: Scope) -> dict[Path, Machine]:
    """Return a generation's machines by folder, in the order of their numbers."""
    folder = layout.generation_dir(scope)
    found = {path: find_machine(path) for path in find_server_folders(folder)}
    return {path: machine for path, machine in found.items() if machine}


def find_missing(scope: Scope, servers: int) -> list[str]:
    """Return the names of servers that should run and do not."""
    folder = layout.generation_dir(scope)
    return [
        name_server(scope, number)
        for number in range(servers)
        if find_machine(server_folder(folder, number)) is None
        or find_machine_process(server_folder(folder, number)) is None
    ]


def find_paused(scope: Scope) -> dict[str, str]:
    """Return the names of servers that run and stand still, with why."""
    folders = find_server_folders(layout.generation_dir(scope))
    found = {name_server(scope, int(path.name)): find_pause(path) for path in folders}
    return {name: why for name, why in found.items() if why}


def find_extra(folder: Path, servers: int) -> list[Path]:
    """Return the folders of servers beyond a fleet's number."""
    return [path for path in find_server_folders(folder) if int(path.name) >= servers]


def name_server(scope: Scope, number: int) -> str:
    """Return a server's name, such as `web-3f2a9c41-0`."""
    return f"{layout.backend_name(scope)}-{number}"


def server_folder(folder: Path, number: int) -> Path:
    """Return the folder of a fleet's server."""
    return folder / "servers" / str(number)


def find_server_folders(folder: Path) -> list[Path]:
    """Return the folders of a fleet's servers, in the order of their numbers."""
    found = [path for path in (folder / "servers").glob("*") if path.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def _describe(folder: Path, generation: str, record: FleetRecord) -> Fleet:
    wanted = [server_folder(folder, number) for number in range(record.spec.servers)]
    found = [find_machine(path) for path in wanted]
    base = compute_base(layout.images_dir(), record.spec.artifact)
    rebaked = any(machine and is_rebaked(machine, base) for machine in found)
    return Fleet(
        generation=generation,
        record=record.spec.record,
        servers=record.spec.servers,
        whole=all(found) and not rebaked,
        rebaked=rebaked,
        running=sum(find_machine_process(path) is not None for path in wanted),
        leaving=record.leaving,
    )
