"""The local target: QEMU machines behind a HAProxy, all on this machine, all on 127.0.0.1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.location import MACHINE, Location
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.system import places
from immutable_servers.system.machine import find_machine
from immutable_servers.targets.local import qemu
from immutable_servers.targets.local.access import LocalAccess
from immutable_servers.targets.local.balancer import LocalBalancer
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.images import LocalImages
from immutable_servers.targets.local.machine_parts import SMBIOS_LIMIT
from immutable_servers.targets.local.needs import CONSOLES_HINT, NEEDS, describe_machine
from immutable_servers.targets.local.ownership import LocalOwnership
from immutable_servers.targets.local.readiness import LocalReadiness
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.shared import launch_data

__all__ = ["LocalSettings", "LocalTarget"]


class LocalTarget(Target):
    """Machines and a balancer on the machine in front of you."""

    name = "local"
    settings_model = LocalSettings
    needs = NEEDS
    consoles_hint = CONSOLES_HINT
    packer_source = Path(__file__).with_name("source.pkr.hcl")
    costs_money = False
    takes_overrides = False
    architecture = qemu.ARCHITECTURE
    answers_within = 20.0  # the launch has waited for them, and for the balancer
    keep_for = None  # a standby here costs memory, and the user sees it
    balancer: LocalBalancer
    fleets: LocalFleets

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = LocalSettings.model_validate(settings)
        self.images = LocalImages(self.settings)
        self.balancer = LocalBalancer(self.settings)
        self.fleets = LocalFleets(self.balancer, self.settings)
        self.access = LocalAccess(self.settings)
        self.ownership = LocalOwnership(self.fleets)
        self.readiness = LocalReadiness(self.settings, self.fleets)

    def find_location(self, *, ask: bool = True) -> Location:
        """Return this machine, and the folder that holds all of its machines and its balancers."""
        del ask
        machine = find_machine()
        known = {MACHINE: machine.id} if machine.id else {}
        words = {**known, "folder": str(places.data_dir().resolve())}
        return Location(self.name, words, machine.host)

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return memory in MB and the number of processors."""
        return self.settings.find_size(size).model_dump()

    def check_env(self, env: Mapping[str, str]) -> None:
        """Refuse what does not fit into a machine's SMBIOS strings."""
        launch_data.check_env(env, SMBIOS_LIMIT)

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what a machine is made of beside its image; which accelerator runs it is not."""
        return {
            "machine": qemu.MACHINE,
            "kernel_args": qemu.KERNEL_ARGS,
            "size": self.resolve_size(launch.size),
            "reach": self.settings.describe_reach(),
        }

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return the graph; whose a stack is lies in a file, so nothing in it says so."""
        from immutable_servers.targets.local.graph import LocalGraph  # noqa: PLC0415 - imports Pulumi

        del owner
        return LocalGraph(scope, self.settings)

    @classmethod
    def describe_machine(cls) -> Sequence[tuple[str, str, str]]:
        """Return whether machines run in KVM."""
        return describe_machine()
