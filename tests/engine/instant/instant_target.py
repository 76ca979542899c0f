"""A target whose images, fleets and balancer are files: the whole graph on the engine in seconds.

It is found by its entry point, as any other package's target would be, and imports nothing from a
sibling. Everything it does is written to `journal.jsonl`; what `faults.json` names goes wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instant_owners import InstantOwnership
from instant_resources import InstantGraph
from instant_world import World
from pydantic import BaseModel

from immutable_servers.contract.access import Access
from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.images import Images, Packer
from immutable_servers.contract.ownership import Owner
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
from immutable_servers.targets.place import Place


class InstantSettings(BaseModel):
    """Where the files are, and what a program upgrade would change."""

    folder: str
    code: str = "1"


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

    def find(self, image: str, version: str) -> Artifact | None:
        self.world.note("catalog", image=image)
        file = self.world.artifact_file(f"{image}/{version}")
        return self.world.read_artifact(file) if file.exists() else None

    def list(self) -> Sequence[Artifact]:
        files = sorted(self.world.folder.glob("images/*.json"))
        return [self.world.read_artifact(file) for file in files]

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        marks = {name: text for name, text in {**artifact.marks, key: value}.items() if text}
        plain = {**artifact.to_plain(), "facts": {**artifact.facts, "marks": marks}}
        self.world.write(self.world.artifact_file(artifact.id), plain)

    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        say("looks at a file")
        return {"release": self.world.path("upstream").read_text(), **image_settings["upstream"]}

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        self.world.bake(request)

    def _find_users(self, artifact: Artifact) -> Sequence[str]:
        fleets = self.world.list_fleets()
        return [f"{path.name} runs it" for path, spec in fleets if spec.artifact == artifact.id]

    def _delete(self, artifact: Artifact) -> None:
        self.world.artifact_file(artifact.id).unlink(missing_ok=True)


class InstantBalancer(Balancer):
    """Pointers are files."""

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

    def _ask_health(self, scope: Scope, members: Mapping[str, Member]) -> Sequence[Health]:
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

    def delete_key(self, scope: Scope) -> None:
        self.world.path("keys", scope.name).unlink(missing_ok=True)

    def open_logins(self, scope: Scope) -> Sequence[Login]:
        self.world.meet("before login")
        if not self.world.path("keys", scope.name).exists():
            raise LaunchError(f"The servers of {scope.generation} are sealed")
        return [Login(name, "local://") for name in self.world.find_servers(scope)]

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        key = self.world.path("keys", scope.name)
        servers = self.world.find_servers(scope) if key.exists() else ()
        return [Login(name, f"ssh://{name}", str(key)) for name in servers]

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
        self.world.note("seal", service=scope.service, generation=scope.generation)
        self.delete_key(scope)
        self.world.meet("after seal")
