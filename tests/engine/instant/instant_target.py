"""A target whose images, fleets and balancer are files: the whole graph on the engine in seconds.

It is found by its entry point, as any other package's target would be, and imports nothing from a
sibling. Everything it does is written to `journal.jsonl`; what `faults.json` names goes wrong.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from instant_owners import InstantOwnership
from instant_resources import InstantGraph
from instant_world import World
from pydantic import BaseModel

from harness.clock import use_moved_clock
from immutable_servers.contract import digests
from immutable_servers.contract.access import Access
from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.front import Ask, Front
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.images import Images, Packer
from immutable_servers.contract.location import MACHINE, Location
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.readiness import Check, Demand, Finding, Readiness
from immutable_servers.contract.target import Target
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
    Member,
    Route,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import LaunchError, SettingsError
from immutable_servers.system.machine import find_machine
from immutable_servers.targets.place import Place

use_moved_clock()
digests.DIGITS = int(os.environ.get("INSTANT_DIGITS") or digests.DIGITS)
"""Short versions meet at once; of twelve digits somebody has to look for a pair for a minute."""


class InstantSettings(BaseModel):
    """Where the files are, and what a program upgrade would change."""

    folder: str
    code: str = "1"


class InstantReadiness(Readiness):
    """Has room for as many servers as anybody wants, of sizes that it knows."""

    def list_checks(self, demand: Demand) -> Mapping[str, Check]:
        """Count the servers."""

        def count() -> Iterator[Finding]:
            most = sum(one.most for one in demand.services.values())
            yield Finding("servers", "ok", f"{most} wanted at most")

        return {"servers": count}


class InstantTarget(Target):
    """The toy."""

    name = "instant"
    settings_model = InstantSettings
    costs_money = False
    answers_within = 2.0
    architecture = "x86_64"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.world = World(Path(self.settings["folder"]))
        self.images = InstantImages(self.world)
        self.balancer = InstantBalancer(self.world)
        self.fleets = InstantFleets(self.world, self.balancer)
        self.access = InstantAccess(self.world)
        self.ownership = InstantOwnership(self.world, self.fleets)
        self.readiness = InstantReadiness()

    def find_location(self, *, ask: bool = True) -> Location:
        """Name the folder as the settings do, so that a copy of project and world is the same."""
        del ask
        machine = find_machine()
        words = {MACHINE: machine.id, "folder": self.settings["folder"]}
        return Location(self.name, words, machine.host)

    def resolve_size(self, size: str) -> dict[str, Any]:
        if size not in ("small", "medium", "large"):
            raise SettingsError(f"There is no size {size}")
        return {"size": size}

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Depend on `code`, so that a test can upgrade the program."""
        return {**self.resolve_size(launch.size), "code": self.settings["code"]}

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Need no owner: that is a file."""
        del owner
        return InstantGraph(Place(self.name, self.settings, scope))


class InstantCloud(InstantTarget):
    """The toy as a target whose servers are paid for."""

    name = "instant-cloud"
    costs_money = True


class InstantImages(Images):
    """Images are files."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _find(self, image: str, version: str) -> Artifact | None:
        self.world.note("catalog", image=image)
        file = self.world.artifact_file(f"{image}/{version}")
        return self.world.read_artifact(file) if file.exists() else None

    def list(self) -> Sequence[Artifact]:
        files = sorted(self.world.folder.glob("images/*.json"), key=lambda one: one.stat().st_ctime)
        return [self.world.read_artifact(file) for file in files]

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        marks = {name: text for name, text in {**artifact.marks, key: value}.items() if text}
        plain = {**artifact.to_plain(), "facts": {**artifact.facts, "marks": marks}}
        self.world.write(self.world.artifact_file(artifact.id), plain)

    def find_upstream(
        self, image_settings: Mapping[str, Any], known: Mapping[str, Any], say: Say
    ) -> dict[str, Any]:
        say("looks at a file")
        return {"release": self.world.path("upstream").read_text(), **image_settings["upstream"]}

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        self.world.bake(request)

    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        fleets = self.world.list_fleets()
        return [f"{path.name} runs it" for path, spec in fleets if spec.artifact == artifact.id]

    def _delete(self, artifact: Artifact) -> None:
        self.world.artifact_file(artifact.id).unlink(missing_ok=True)


class InstantBalancer(Balancer):
    """Pointers are files, and so is what a node that follows late still does."""

    settle = 0.02
    settle_poll = 0.01
    settle_within = 2.0

    def __init__(self, world: World) -> None:
        self.world = world

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        return self.world.read_weights(scope.service)

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        return {name: Member(up=True) for name in self.world.find_servers(scope)}

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        return self.world.count_answers(scope)

    def find_address(self, route: Route, scope: Scope) -> str:
        return f"instant://{scope.service}:{route.port}"

    def prepare_question(
        self, front: Front, scope: Scope, headers: Mapping[str, str] | None = None
    ) -> Ask:
        """Ask two nodes, one of which may follow late."""
        del front, headers
        return partial(self.world.ask_nodes, scope.service)

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        self.world.point(scope.service, dict(weights))

    def _count_open(self, scope: Scope) -> int:
        """Hold no connection."""
        self.world.meet("before drain")
        self.world.note("drain", service=scope.service, generation=scope.generation)
        self.world.meet("after drain")
        return 0


class InstantFleets(Fleets):
    """Fleets are folders, servers are files."""

    def __init__(self, world: World, balancer: Balancer) -> None:
        super().__init__(balancer)
        self.world = world

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        self.world.meet("before question")
        return {
            spec.scope.generation: self.world.describe_fleet(folder, spec)
            for folder, spec in self.world.list_fleets()
            if spec.scope.service == scope.service
        }

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        return [Server(name, str(file)) for name, file in self.world.find_servers(scope).items()]

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Read a fault: `sick` servers do not answer."""
        sick = (self.world.folder / f"sick-{scope.generation}").exists()
        detail = "500" if sick else "200"
        return [Health(name, ok=not sick, detail=detail) for name in members]

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        return [f"console of {scope.name}: nothing to see"]

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        return self.world.find_servers(scope)

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        specs = [
            spec for _, spec in self.world.list_fleets() if spec.scope.service == scope.service
        ]
        return [drift for spec in specs for drift in self.world.find_drift(spec)]

    def _delete(self, scope: Scope) -> None:
        self.world.delete(scope)


class InstantAccess(Access):
    """Keys are files, and whoever reads one is in."""

    def __init__(self, world: World) -> None:
        self.world = world

    def make_key(self, scope: Scope) -> str:
        self.world.meet("before key")
        self.world.path("keys", scope.name).write_text("PRIVATE")
        self.world.meet("after key")
        return f"ssh-ed25519 AAAA {scope.name}"

    def make_inspection_key(self, scope: Scope) -> str:
        self.world.path("people", scope.name, "key").write_text("PRIVATE")
        return f"ssh-ed25519 BBBB {scope.name}"

    def has_keys(self, scope: Scope) -> bool:
        verifiers, peoples = self.world.path("keys", scope.name), self.world.people(scope.name)
        return verifiers.exists() or peoples.exists()

    def delete_key(self, scope: Scope) -> None:
        self.world.delete_key(scope.name)

    def open_logins(self, scope: Scope) -> Sequence[Login]:
        self.world.meet("before login")
        specs = [spec for _, spec in self.world.list_fleets() if spec.scope == scope]
        is_open = any(spec.window_ends > time.time() for spec in specs)
        if not (is_open and self.world.path("keys", scope.name).exists()):
            raise LaunchError(f"The servers of {scope.generation} are sealed")
        return [Login(name, "local://") for name in self.world.find_servers(scope)]

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        key = self.world.people(scope.name) / "key"
        servers = self.world.find_servers(scope) if key.exists() else ()
        return [Login(name, f"ssh://{name}", str(key)) for name in servers]

    def find_inspection(self, scope: Scope) -> str:
        used = self.world.people(scope.name) / "used"
        return f"somebody used its login at {used.read_text()}" if used.exists() else ""

    def find_used(self, scope: Scope) -> Sequence[str]:
        names, logins = self.world.find_servers(scope), self.world.folder / "logins"
        return [
            f"somebody logged in to {name} at {(logins / name).read_text()}"
            for name in names
            if (logins / name).exists()
        ]

    @contextmanager
    def start_probe(self, spec: FleetSpec, say: Say) -> Iterator[Login]:
        """Write what it would answer, and record it in the journal."""
        del say
        scope = spec.scope
        self.world.note("probe", service=scope.service, generation=scope.generation)
        file = self.world.path("probes", f"{scope.service}-{scope.generation}")
        file.write_text(self.world.read_answer(spec.artifact))
        try:
            yield Login("probe", "local://")
        finally:
            file.unlink()
            self.world.note("probe-removed", generation=scope.generation)

    def close_window(self, scope: Scope, say: Say) -> None:
        del say
        self.world.meet("before seal")
        used = self.find_used(scope)
        if used:
            self.world.path("people", scope.name, "used").write_text(used[0].rpartition(" ")[2])
        if not used and not self.find_inspection(scope):
            self.world.note("seal", service=scope.service, generation=scope.generation)
        self.refuse_used(scope, used)
        self.delete_key(scope)
        self.world.meet("after seal")
