"""The local target with processes in the place of machines: all is real but the servers.

Emulated machines answer some 50 requests in a second, so behind them no load run says anything of
what moves the traffic. Here engine, program, checks and HAProxy are what they are in any run.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from pulumi import dynamic

from immutable_servers.contract.access import Access
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.images import Packer
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import (
    Artifact,
    BakeRequest,
    Fleet,
    FleetSpec,
    Health,
    Launch,
    Login,
    Member,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import LaunchError
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.system.files import read_json, write_json
from immutable_servers.system.processes import Process, end_process, find_process, identify_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import LocalTarget, layout
from immutable_servers.targets.local.balancer import LocalBalancer
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.graph import LocalGraph
from immutable_servers.targets.local.images import LocalImages
from immutable_servers.targets.local.resources import BALANCER

NAME = "processes"
ANSWERER = Path(__file__).with_name("answerer.py")
START_SECONDS = 20.0
END_SECONDS = 5.0


class ProcessTarget(LocalTarget):
    """Servers are processes of this machine."""

    name = NAME

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.images = ProcessImages(self.settings)
        self.fleets = ProcessFleets(self.balancer, self.settings)
        self.access = ProcessAccess(self.fleets)

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Have one shape."""
        return self.resolve_size(launch.size)

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Declare processes in the place of machines."""
        del owner
        return ProcessGraph(scope, self.settings)


class ProcessImages(LocalImages):
    """Has every image: there is nothing to bake."""

    def find(self, image: str, version: str, digest: str) -> Artifact | None:
        """Find it, whatever it is."""
        return Artifact(image, version, f"{image}/{version}", digest=digest)

    def list(self) -> Sequence[Artifact]:
        """Keep nothing."""
        return ()

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Bake nothing."""


class ProcessGraph(LocalGraph):
    """The stack's HAProxy, and processes for each generation."""

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, pulumi.Input[Any]],
        *,
        frozen: bool,
        opts: pulumi.ResourceOptions,
    ) -> pulumi.CustomResource:
        """Declare a generation's processes."""
        del frozen
        return ProcessFleet(name, spec, opts)


class ProcessFleets(LocalFleets):
    """Fleets are folders with processes."""

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Read the service's folders."""
        found = {}
        for folder in layout.generations_dir(scope).glob(f"{scope.service}-*"):
            plain = read_json(folder / "spec.json")
            if plain:
                spec = FleetSpec.from_plain(plain)
                count = len(find_processes(folder))
                found[spec.scope.generation] = Fleet(
                    generation=spec.scope.generation,
                    record=spec.record,
                    servers=spec.servers,
                    whole=count == spec.servers,
                    running=count,
                )
        return found

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Read the ports."""
        ports = find_ports(layout.generation_dir(scope))
        return [Server(name, f"http://127.0.0.1:{port}") for name, port in ports.items()]

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Believe HAProxy, which asks each of them."""
        del scope, fleet
        return [Health(name, member.up, member.detail) for name, member in members.items()]

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Have no console."""
        del scope
        return ()

    def _delete(self, scope: Scope) -> None:
        delete(self.balancer, scope)


class ProcessAccess(Access):
    """Needs no key and has no window: the servers are on this machine."""

    def __init__(self, fleets: Fleets) -> None:
        self.fleets = fleets

    def make_key(self, scope: Scope) -> str:
        """Return what is no key."""
        return f"ssh-ed25519 none {scope.name}"

    def delete_key(self, scope: Scope) -> None:
        """Have none."""

    def open_logins(self, scope: Scope) -> Sequence[Login]:
        """Hand out testinfra's local backend."""
        return [Login(server.name, "local://") for server in self.fleets.find_servers(scope)]

    @contextmanager
    def start_probe(self, spec: FleetSpec, say: Say) -> Iterator[Login]:
        """Need no fresh server: the checks of a load run never change."""
        del say
        yield Login(f"{spec.scope.service}-probe", "local://")

    def close_window(self, scope: Scope, say: Say) -> None:
        """Have none."""


class ProcessFleetProvider(Provider):
    """Starts and ends processes."""

    needs = ("artifact", "balancer", "public_key", "window_ends")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Start them, and add them to the balancer."""
        self.require(props)
        spec = FleetSpec.from_plain(props)
        launch(BALANCER, spec)
        return dynamic.CreateResult(spec.scope.name, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End them."""
        delete(BALANCER, Scope.from_plain(props["scope"]))


class ProcessFleet(Resource, module="immutable-servers", name="ProcessFleet"):
    """A generation's processes."""

    def __init__(
        self, name: str, spec: Mapping[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions
    ) -> None:
        """Register under the generation's name."""
        super().__init__(ProcessFleetProvider(), name, spec, (), opts)


def launch(balancer: LocalBalancer, spec: FleetSpec) -> None:
    """Start a generation's processes, and have the balancer ask for their health.

    Raises:
        LaunchError: One does not begin to listen.
    """
    folder = layout.generation_dir(spec.scope)
    for number in range(spec.servers):
        start_process(folder / "servers" / str(number), spec.scope, number)
    write_json(folder / "spec.json", spec.to_plain())
    balancer.register(spec.scope, spec.launch.health, find_ports(folder))


def delete(balancer: LocalBalancer, scope: Scope) -> None:
    """End a generation's processes; none is no error."""
    folder = layout.generation_dir(scope)
    balancer.remove(scope)
    for process in find_processes(folder):
        end_process(process, END_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    layout.remove_empty_folders(scope)


def start_process(folder: Path, scope: Scope, number: int) -> None:
    """Start a server, and wait until it has written its port.

    Raises:
        LaunchError: It does not.
    """
    folder.mkdir(parents=True)
    server = f"{layout.backend_name(scope)}-{number}"
    command = [sys.executable, "-I", "-S", str(ANSWERER), str(folder), scope.generation, server]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (folder / "name").write_text(server)
    (folder / "pid").write_text(str(process.pid))
    there = wait_until(f"waiting for {server}", START_SECONDS, (folder / "port").exists, every=0.02)
    if not there:
        raise LaunchError(f"The server {server} did not start", facts=[str(folder)])


def find_processes(folder: Path) -> list[Process]:
    """Return the processes of a generation that run."""
    found = [
        identify_process(int(file.read_text()), file.parent)
        for file in sorted(folder.glob("servers/*/pid"))
    ]
    return [process for process in found if process and find_process(process)]


def find_ports(folder: Path) -> dict[str, int]:
    """Return the ports of a generation by server name."""
    return {
        file.with_name("name").read_text(): int(file.read_text())
        for file in sorted(folder.glob("servers/*/port"))
    }
