"""Looks whether this machine has what a stack of machines wants: memory, disk, ports, KVM."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from shutil import disk_usage

import psutil

from immutable_servers.contract.readiness import Check, Demand, Finding, Readiness
from immutable_servers.system import places
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.needs import EMULATED, KVM, describe_accelerator
from immutable_servers.targets.local.settings import LocalSettings

BAKE_MEMORY = 1024
"""MB of a bake's machine (`source.pkr.hcl`)."""
BAKE_DISK, SERVER_DISK = 4.0, 0.5
"""GiB: the disk of an image at most, and what a server writes beside its image, roughly."""
GIB = 1 << 30


class LocalReadiness(Readiness):
    """Reads what the machine has left."""

    def __init__(self, settings: LocalSettings, fleets: LocalFleets) -> None:
        self.settings, self.fleets = settings, fleets

    def list_checks(self, demand: Demand) -> Mapping[str, Check]:
        """Return the checks; none asks anybody but this machine."""
        checks = {
            "memory": self._check_memory,
            "disk space": self._check_disk,
            "ports of routes": self._check_ports,
            "machines run in": self._check_accelerator,
        }
        return {name: partial(check, demand) for name, check in checks.items()}

    def _check_memory(self, demand: Demand) -> Iterator[Finding]:
        sizes = {
            name: self.settings.find_size(one.launch.size).memory
            for name, one in demand.services.items()
        }
        first = sum(sizes[name] * one.first for name, one in demand.services.items()) + BAKE_MEMORY
        most = sum(sizes[name] * one.most for name, one in demand.services.items()) + BAKE_MEMORY
        ours = sum(sizes[name] * self._count(demand, name) for name in sizes)
        have = psutil.virtual_memory().available // (1 << 20) + ours
        yield judge_memory(have, first, most)

    def _count(self, demand: Demand, service: str) -> int:
        """Return how many servers of a service run already: what they have counts as free."""
        fleets = self.fleets.find(replace(demand.scope, service=service))
        return sum(fleet.running for fleet in fleets.values())

    def _check_disk(self, demand: Demand) -> Iterator[Finding]:
        folder = places.data_dir()
        while not folder.exists():
            folder = folder.parent
        images = max(len(demand.starts), 1) + len(demand.services)
        most = sum(one.most for one in demand.services.values())
        yield judge_disk(disk_usage(folder).free / GIB, images * BAKE_DISK + most * SERVER_DISK)

    def _check_ports(self, demand: Demand) -> Iterator[Finding]:
        self.fleets.balancer.refuse_routes(demand.scope, demand.routes)
        ports = sorted({self.fleets.balancer.give_port(route).port for route in demand.routes})
        yield Finding("ports of routes", "ok", ", ".join(map(str, ports)))

    def _check_accelerator(self, demand: Demand) -> Iterator[Finding]:
        del demand
        yield judge_accelerator(describe_accelerator(), self.settings.accelerator)


def judge_memory(have: int, first: int, most: int) -> Finding:
    """Return the line on memory in MB: what is free or ours, and what is wanted at a time."""
    said = f"{have} MB free or the stack's own, {most} MB wanted at most"
    if most <= have:
        return Finding("memory", "ok", said)
    if first <= have:
        todo = "Standbys do not fit: set keep: 0, or take a smaller size."
        return Finding("memory", "note", said, todo)
    todo = "Take fewer servers or a smaller size, or end what else runs here."
    return Finding("memory", "not ok", said, todo)


def judge_disk(free: float, most: float) -> Finding:
    """Return the line on disk space in GiB."""
    said = f"{free:.0f} GiB free, {most:.0f} GiB wanted at most"
    if most <= free:
        return Finding("disk space", "ok", said)
    return Finding(
        "disk space", "note", said, "Free some (./immutable prune), or set XDG_DATA_HOME."
    )


def judge_accelerator(found: str, wanted: str) -> Finding:
    """Return the line on KVM."""
    what = "machines run in"
    if found == KVM:
        return Finding(what, "ok", found)
    if found == EMULATED and wanted == "kvm":
        return Finding(what, "not ok", found, "Set accelerator: auto, or make /dev/kvm usable.")
    if found != EMULATED:
        return Finding(what, "not known", found, "Run ./immutable up: a bake proves it.")
    todo = "Servers start some ten times slower without KVM: enable it where the machine has it."
    return Finding(what, "note", found, todo)
