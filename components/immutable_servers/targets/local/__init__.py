"""The local target: QEMU machines behind a HAProxy, all on this machine, all on 127.0.0.1."""

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immutable_servers.contract.ownership import Ask, Leftover, Owner
from immutable_servers.contract.target import Catalog, Packer, Target
from immutable_servers.contract.values import (
    Answers,
    Artifact,
    BakeRequest,
    Drift,
    Fleet,
    FleetSpec,
    Health,
    Launch,
    Login,
    Route,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import SetupError
from immutable_servers.targets.local import (
    access,
    balancer,
    consoles,
    drift,
    fleet_records,
    fleets,
    layout,
    leftovers,
    owners,
    probes,
    qemu,
    servers,
)
from immutable_servers.targets.local.artifacts import KERNEL, LocalCatalog
from immutable_servers.targets.local.bake import bake_image
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.local.upstream import find_upstream, provide_upstream

if TYPE_CHECKING:
    import pulumi

__all__ = ["LocalSettings", "LocalTarget"]


class LocalTarget(Target):
    """Machines and a balancer on the machine in front of you."""

    name = "local"
    settings_model = LocalSettings
    costs_money = False
    takes_overrides = False
    architecture = "x86_64"
    answers_within = 20.0  # the launch has waited for them, and for the balancer
    keep_for = None  # a standby here costs memory, and the user sees it

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = LocalSettings.model_validate(settings)

    # images
    @property
    def catalog(self) -> Catalog:
        """The folders of `images/`."""
        return LocalCatalog(layout.images_dir())

    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Ask Debian's archive which release the suite has now."""
        upstream = image_settings.get("upstream") or {}
        return find_upstream(upstream.get("suite", "stable"), self.architecture, say)

    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Bake in a QEMU machine, into a folder that is renamed into place when it is whole."""
        _require_linux()
        kernel = self._find_start(request) / KERNEL
        accelerator = servers.choose_accelerator(kernel, self.settings)
        return bake_image(request, packer, layout.images_dir(), accelerator)

    # the graph
    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return memory in MB and the number of processors."""
        return self.settings.find_size(size).model_dump()

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what a machine is made of beside its image; which accelerator runs it is not."""
        return {
            "machine": qemu.MACHINE,
            "kernel_args": qemu.KERNEL_ARGS,
            "size": self.resolve_size(launch.size),
        }

    def declare_balancer(
        self, scope: Scope, routes: Sequence[Route], opts: "pulumi.ResourceOptions"
    ) -> "pulumi.CustomResource":
        """Declare the stack's HAProxy."""
        from immutable_servers.targets.local.resources import Balancer  # noqa: PLC0415 - imports Pulumi

        return Balancer(scope, [self._place(route) for route in routes], opts)

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, "pulumi.Input[Any]"],
        *,
        frozen: bool,
        opts: "pulumi.ResourceOptions",
    ) -> "pulumi.CustomResource":
        """Declare a generation's machines; `frozen` ignores all changes but the server count."""
        from immutable_servers.targets.local.resources import LocalFleet  # noqa: PLC0415 - imports Pulumi

        settings = self.settings.model_dump(mode="json")
        return LocalFleet(name, settings, spec, frozen=frozen, opts=opts)

    # what exists and serves
    def find_fleets(self, scope: Scope) -> Mapping[str, Fleet]:
        """Read the service's folders."""
        return fleet_records.find_fleets(scope)

    def find_traffic(self, scope: Scope) -> Mapping[str, int]:
        """Ask HAProxy, or its file while it does not run."""
        return balancer.find_traffic(scope)

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Read the generation's folder."""
        return [
            Server(machine.name, f"http://{LOOPBACK}:{machine.http_port}")
            for machine in fleet_records.find_machines(scope).values()
        ]

    def find_health(self, scope: Scope, launch: Launch) -> Sequence[Health]:
        """Ask every server, and HAProxy which servers the generation's group holds."""
        machines = list(fleet_records.find_machines(scope).values())
        return servers.find_health(machines, launch.health, balancer.find_members(scope))

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask every worker of HAProxy."""
        return balancer.find_answers(scope)

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return the end of each server's console log, under the server's name."""
        return [
            line
            for folder, machine in fleet_records.find_machines(scope).items()
            for line in (f"{machine.name}: its console ends:", *servers.read_console(folder))
        ]

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        """Name the files, also those of servers that are gone."""
        return consoles.find_consoles(scope)

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        """Compare folders, disks, processes and the balancer's groups with the records."""
        return drift.find_drift(scope)

    def find_address(self, route: Route, scope: Scope) -> str:  # noqa: ARG002 - all are here
        """Return the balancer's address for a route; a host's name is the user's to resolve."""
        return f"http://{route.host or LOOPBACK}:{self._place(route).port}"

    # acting
    def make_key(self, scope: Scope) -> str:
        """Make or find the key in the generation's folder."""
        _require_linux()
        return access.make_key(scope)

    def delete_key(self, scope: Scope) -> None:
        """Delete it there."""
        access.delete_key(scope)

    def find_logins(self, scope: Scope) -> Sequence[Login]:
        """Write the ssh configuration and wait until every server takes a login."""
        return access.find_logins(scope, self.settings)

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Write the ssh configuration while the window is open; ask no server."""
        return access.describe_logins(scope)

    def start_probe(self, spec: FleetSpec, say: Say) -> AbstractContextManager[Login]:
        """Boot one open machine outside of any fleet."""
        _require_linux()
        return probes.start_probe(spec, self.settings, say)

    def close_window(self, scope: Scope, say: Say) -> None:
        """Have the servers seal themselves, and remove the forwarded ports."""
        access.close_window(scope, say)

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Replace HAProxy's map, and read it back."""
        balancer.set_traffic(scope, weights)

    def delete_fleet(self, scope: Scope) -> None:
        """End the machines and remove their folder."""
        fleets.delete_fleet(scope)

    def drain(self, scope: Scope, seconds: float, say: Say) -> None:
        """Ask every worker of HAProxy until none has a request for the generation."""
        balancer.drain(scope, seconds, say)

    # whose things they are
    def find_owner(self, scope: Scope) -> Owner | None:
        """Read the file in the stack's folder."""
        return owners.find_owner(scope)

    def begin_update(self, owner: Owner, declared: Collection[str]) -> None:
        """Write that file, remove what dead runs have left, and cut consoles that have grown."""
        scope = Scope(owner.project, owner.stack)
        owners.write_owner(owner)
        leftovers.tidy(scope, declared)
        consoles.bound_consoles(scope)

    def find_leftovers(self, ask: Ask) -> Sequence[Leftover]:
        """Look through the data folder, the folder for sockets, and the processes of this user."""
        return leftovers.find_leftovers(ask)

    def remove_leftover(self, leftover: Leftover, ask: Ask) -> bool:
        """Remove it after a second look."""
        return leftovers.remove_leftover(leftover, ask)

    def _find_start(self, request: BakeRequest) -> Path:
        """Return the folder that the bake starts from, made when it is missing."""
        if request.parent:
            return layout.artifact_dir(request.parent.id)
        return provide_upstream(
            layout.images_dir().parent / "upstream",
            request.lock,
            self.architecture,
            log=request.log,
            deadline=request.deadline,
            say=request.say,
        ).folder

    def _place(self, route: Route) -> Route:
        """Return a route with its port: a host name's is the shared one."""
        return route if route.port else replace(route, port=self.settings.shared_port)


def _require_linux() -> None:
    """Refuse to run machines where there is no QEMU with Linux's processes and locks.

    Raises:
        SetupError: This is not Linux.
    """
    if sys.platform != "linux":
        raise SetupError(
            "The local target needs Linux",
            facts=[f"This machine runs {sys.platform}."],
            todo="Use a Linux machine, or a cloud target; previews and the catalog work here.",
        )
