"""What somebody changed by hand of a service's fleets; it looks, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.values import Drift, FleetSpec, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.artifacts import DISK, compute_base
from immutable_servers.targets.local.fleet_records import (
    FleetRecord,
    find_extra,
    find_record_folders,
    name_server,
    server_folder,
)
from immutable_servers.targets.local.machines import (
    find_machine,
    find_machine_process,
    find_pause,
    is_rebaked,
    read_command,
)
from immutable_servers.targets.local.qcow2 import read_backing_file


def find_drift(scope: Scope, balancer: Balancer) -> list[Drift]:
    """Return what differs of a service's fleets from what was made."""
    return [
        drift
        for folder, record in find_record_folders(scope).values()
        if not record.leaving
        for drift in (*_find_in_fleet(folder, record), *_find_in_group(record.spec, balancer))
    ]


def _find_in_fleet(folder: Path, record: FleetRecord) -> Iterator[Drift]:
    scope, generation = record.spec.scope, record.spec.scope.generation
    for number in range(record.spec.servers):
        name, path = name_server(scope, number), server_folder(folder, number)
        if find_machine(path) is None:
            yield Drift(generation, "missing", name, "its folder, or its disk, is gone")
        else:
            yield from _find_in_server(path, record, generation, name)
    for path in find_extra(folder, record.spec.servers):
        runs = "it runs" if find_machine_process(path) else "it does not run"
        yield Drift(generation, "added", name_server(scope, int(path.name)), runs)


def _find_in_server(path: Path, record: FleetRecord, generation: str, name: str) -> Iterator[Drift]:
    disk = layout.artifact_dir(record.spec.artifact).resolve() / DISK
    found = read_backing_file(path / "overlay.qcow2")
    if found != disk:
        detail = f"its disk lies on {found or 'nothing'}"
        yield Drift(generation, "artifact", name, detail)
    machine = find_machine(path)
    if machine and is_rebaked(machine, compute_base(layout.images_dir(), record.spec.artifact)):
        yield Drift(generation, "artifact", name, "its image was baked again under its disk")
    process = find_machine_process(path)
    if process is None:
        yield Drift(generation, "stopped", name)
    elif not any(str(path / "overlay.qcow2") in word for word in read_command(process)):
        yield Drift(generation, "artifact", name, "its process runs from another disk")
    elif why := find_pause(path):
        yield Drift(generation, "paused", name, why)


def _find_in_group(spec: FleetSpec, balancer: Balancer) -> Iterator[Drift]:
    """Yield the servers that the running balancer has and the fleet has not."""
    try:
        members = balancer.find_members(spec.scope)
    except TrafficError:  # status reports by itself that the balancer cannot be asked
        return
    names = {name_server(spec.scope, number) for number in range(spec.servers)}
    for name in sorted(members.keys() - names):
        detail = f"the balancer sees it {members[name].detail.lower()}"
        yield Drift(spec.scope.generation, "group", name, detail)
