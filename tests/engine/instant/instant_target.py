"""A target whose images, fleets and balancer are files: the whole graph on the engine in seconds.

It is found by its entry point, as any other package's target would be, and imports nothing from a
sibling. Everything it does is written to `journal.jsonl`; what `faults.json` names goes wrong.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi
from instant_owners import InstantOwners, find_drift
from instant_resources import InstantBalancer, InstantFleet
from pydantic import BaseModel

from harness.engine.faults import Faults
from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.contract.target import Catalog, Packer, Target
from immutable_servers.contract.values import (
    ALL,
    Answers,
    Artifact,
    BakeRequest,
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
from immutable_servers.errors import LaunchError, SettingsError
from immutable_servers.targets.place import Place


class InstantSettings(BaseModel):
    """Where the files are, and what a program upgrade would change."""

    folder: str
    code: str = "1"


class World:
    """The files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - plain values
        """Append to the journal."""
        with (self.folder / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps({"event": event, **facts}) + "\n")

    def meet(self, moment: str) -> None:
        """Let what a test wants to go wrong at a moment go wrong."""
        Faults(self.folder).meet(moment)

    def write(self, file: Path, value: object) -> None:
        """Write a file so that its readers see the old one or the new."""
        beside = file.with_name(f"{file.name}.new")
        beside.write_text(json.dumps(value))
        beside.replace(file)

    def path(self, *parts: str) -> Path:
        """Return a path below the folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def fleet_folder(self, scope: Scope) -> Path:
        """Return the folder of one generation's fleet."""
        return self.path("fleets", f"{scope.service}-{scope.generation}")

    def pointer(self, service: str) -> Path:
        """Return the file that holds a service's pointer."""
        return self.path("traffic", f"{service}.json")


class InstantCatalog(Catalog):
    """Images are files."""

    def __init__(self, world: World) -> None:
        self.world = world

    def find(self, image: str, version: str) -> Artifact | None:
        """Read the file."""
        self.world.note("catalog", image=image)
        file = self.world.path("images", f"{image}-{version}.json")
        return Artifact.from_plain(json.loads(file.read_text())) if file.exists() else None

    def list(self) -> Sequence[Artifact]:
        """Read all files."""
        files = sorted(self.world.path("images", "_").parent.glob("*.json"))
        return [Artifact.from_plain(json.loads(file.read_text())) for file in files]

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark among the facts."""
        facts = {**artifact.facts, "marks": {**artifact.marks, key: value}}
        self.write(Artifact(**{**artifact.to_plain(), "facts": facts}))

    def delete(self, artifact: Artifact) -> None:
        """Remove the file."""
        self.world.path("images", f"{artifact.image}-{artifact.version}.json").unlink()

    def write(self, artifact: Artifact) -> None:
        """Keep an artifact."""
        file = self.world.path("images", f"{artifact.image}-{artifact.version}.json")
        self.world.write(file, artifact.to_plain())


class InstantTarget(InstantOwners, Target):
    """The toy."""

    name = "instant"
    settings_model = InstantSettings
    costs_money = False
    answers_within = 2.0
    architecture = "x86_64"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.world = World(Path(self.settings["folder"]))

    @property
    def catalog(self) -> InstantCatalog:
        """The images."""
        return InstantCatalog(self.world)

    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Look at a file."""
        say("looks at a file")
        return {"release": self.world.path("upstream").read_text(), **image_settings["upstream"]}

    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Write a file; Packer runs in the tests of images and in those of the local target.

        It holds what the servers will answer: the text of all sources.
        """
        self.world.meet("before bake")
        sources = sorted(file for file in request.sources.rglob("*") if file.is_file())
        lengths = {name: len(value) for name, value in request.secrets.items()}
        self.world.note("bake", image=request.image, version=request.version, secrets=lengths)
        parents = dict(request.lineage["parents"])
        artifact = Artifact(
            image=request.image,
            version=request.version,
            id=f"{request.image}/{request.version}",
            parents=parents,
            facts={
                "manifest": dict(request.manifest),
                "answer": "".join(file.read_text() for file in sources),
            },
        )
        self.catalog.write(artifact)
        self.world.meet("after bake")
        return artifact

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Know three sizes."""
        if size not in ("small", "medium", "large"):
            raise SettingsError(f"There is no size {size}")
        return {"size": size}

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Depend on `code`, so that a test can upgrade the program."""
        return {**self.resolve_size(launch.size), "code": self.settings["code"]}

    def declare_balancer(
        self, scope: Scope, routes: Sequence[Route], opts: pulumi.ResourceOptions
    ) -> pulumi.CustomResource:
        """Declare the file."""
        place = Place(self.name, self.settings, scope)
        return InstantBalancer(place, [route.to_plain() for route in routes], opts)

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, pulumi.Input[Any]],
        *,
        frozen: bool,
        opts: pulumi.ResourceOptions,
    ) -> pulumi.CustomResource:
        """Declare the folder."""
        place = Place(self.name, self.settings, Scope.from_plain(spec["scope"]))  # type: ignore[arg-type]
        return InstantFleet(name, place, spec, frozen=frozen, opts=opts)

    # what exists and serves
    def find_fleets(self, scope: Scope) -> Mapping[str, Fleet]:
        """Read every folder of the service."""
        self.world.meet("before question")
        found = {}
        for file in self.world.path("fleets", "_").parent.glob(f"{scope.service}-*/spec.json"):
            spec = FleetSpec.from_plain(json.loads(file.read_text()))
            servers = len(list(file.parent.glob("server-*")))
            found[spec.scope.generation] = Fleet(
                generation=spec.scope.generation,
                record=spec.record,
                servers=spec.servers,
                whole=not any(drift.kind == "missing" for drift in find_drift(file)),
                running=servers,
                leaving=(file.parent / "leaving").exists(),
            )
        return found

    def find_traffic(self, scope: Scope) -> Mapping[str, int]:
        """Read the pointer."""
        file = self.world.pointer(scope.service)
        return json.loads(file.read_text()) if file.exists() else {}

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Read the folder."""
        files = sorted(self.world.fleet_folder(scope).glob("server-*"))
        return [Server(f"{scope.service}-{scope.generation}-{f.name[7:]}", f"{f}") for f in files]

    def find_health(self, scope: Scope, launch: Launch) -> Sequence[Health]:
        """Read a fault: `sick` servers do not answer."""
        sick = (self.world.folder / f"sick-{scope.generation}").exists()
        return [
            Health(server.name, ok=not sick, detail="500" if sick else "200")
            for server in self.find_servers(scope)
        ]

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Read a file that a test writes: what a share is answered, and all of it `after`.

        A generation begins to count when it gets all of the traffic.
        """
        file, begun = self.world.folder / "answers.json", self.world.folder / "begun"
        answers = json.loads(file.read_text()) if file.exists() else {}
        weight = self.find_traffic(scope).get(scope.generation, 0)
        if weight == ALL:
            self.world.meet("in watch")
        if not weight or (weight == ALL and not begun.exists()):
            begun.touch()
            return {"one": Answers(0, 0)}
        found = answers.get("after", {}) if weight == ALL else answers.get("share", {})
        return {"one": Answers(**found)} if found else {}

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        """Name the servers' files."""
        return {server.name: Path(server.url) for server in self.find_servers(scope)}

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Name the folder."""
        return [f"console of {scope.name}: nothing to see"]

    def find_address(self, route: Route, scope: Scope) -> str:
        """Name the pointer."""
        return f"instant://{scope.service}:{route.port}"

    # acting
    def make_key(self, scope: Scope) -> str:
        """Write a file."""
        self.world.meet("before key")
        self.world.path("keys", scope.name).write_text("PRIVATE")
        self.world.meet("after key")
        return f"ssh-ed25519 AAAA {scope.name}"

    def delete_key(self, scope: Scope) -> None:
        """Remove the file."""
        self.world.path("keys", scope.name).unlink(missing_ok=True)

    def find_logins(self, scope: Scope) -> Sequence[Login]:
        """Hand out testinfra's local backend while a key exists."""
        self.world.meet("before login")
        if not self.world.path("keys", scope.name).exists():
            raise LaunchError(f"The servers of {scope.generation} are sealed")
        return [Login(server.name, "local://") for server in self.find_servers(scope)]

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Name the key while it exists."""
        key = self.world.path("keys", scope.name)
        servers = self.find_servers(scope) if key.exists() else ()
        return [Login(server.name, f"ssh://{server.name}", str(key)) for server in servers]

    @contextmanager
    def start_probe(self, spec: FleetSpec, say: Say) -> Iterator[Login]:
        """Write what it would answer, and say so in the journal."""
        scope = spec.scope
        self.world.note("probe", service=scope.service, generation=scope.generation)
        file = self.world.path("probes", f"{scope.service}-{scope.generation}")
        file.write_text(self.read_answer(spec.artifact))
        try:
            yield Login("probe", "local://")
        finally:
            file.unlink()
            self.world.note("probe-removed", generation=scope.generation)

    def close_window(self, scope: Scope, say: Say) -> None:
        """Remove the key."""
        self.world.meet("before seal")
        self.world.note("seal", service=scope.service, generation=scope.generation)
        self.delete_key(scope)
        self.world.meet("after seal")

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Write the pointer, whole at every moment."""
        self.world.meet("before traffic")
        self.world.write(self.world.pointer(scope.service), dict(weights))
        (self.world.folder / "begun").unlink(missing_ok=True)
        self.world.note("traffic", service=scope.service, weights=dict(weights))
        self.world.meet("after traffic")

    def delete_fleet(self, scope: Scope) -> None:
        """Remove the folder, unless it serves."""
        refuse_if_serving(self.find_traffic(scope), scope)
        self.delete(scope)

    def drain(self, scope: Scope, seconds: float, say: Say) -> None:
        """Wait for nothing."""
        self.world.meet("before drain")
        self.world.note("drain", service=scope.service, generation=scope.generation)
        self.world.meet("after drain")

    # what the resources call
    def launch(self, spec: FleetSpec, handle: str = "") -> None:
        """Make the folder and its servers, each with what it answers; note who asked first."""
        self.world.meet("before launch")
        folder = self.world.fleet_folder(spec.scope)
        folder.mkdir(exist_ok=True)
        if handle:
            (folder / "handle").write_text(handle)
        self.world.write(folder / "spec.json", spec.to_plain())
        where = {"service": spec.scope.service, "generation": spec.scope.generation}
        answer = self.read_answer(spec.artifact)
        for number in range(spec.servers):
            server = folder / f"server-{number}"
            if not server.exists():
                server.write_text(answer)
                self.world.note("boot", server=number, **where)
            self.world.meet("half launch")
        for server in folder.glob("server-*"):
            if int(server.name[7:]) >= spec.servers:
                server.unlink()
        self.world.note("launch", servers=spec.servers, **where)
        self.world.meet("after launch")

    def find_handle(self, scope: Scope) -> str:
        """Return the handle of the resource that made or adopted a fleet last."""
        file = self.world.fleet_folder(scope) / "handle"
        return file.read_text() if file.exists() else ""

    def read_answer(self, artifact: str) -> str:
        """Return what a server of an artifact answers."""
        file = self.world.path("images", f"{artifact.replace('/', '-')}.json")
        if not file.exists():
            raise LaunchError(f"There is no artifact {artifact}", todo="Bake it again.")
        answer: str = json.loads(file.read_text())["facts"]["answer"]
        return answer

    def delete(self, scope: Scope) -> None:
        """Remove the folder, and note whether it served: that must never happen."""
        self.world.meet("before delete")
        folder = self.world.fleet_folder(scope)
        if not folder.exists():
            return
        (folder / "leaving").touch()
        serving = bool(self.find_traffic(scope).get(scope.generation))
        where = {"service": scope.service, "generation": scope.generation}
        self.world.note("delete", serving=serving, **where)
        for server in folder.glob("server-*"):
            server.unlink()
            self.world.meet("half delete")
        shutil.rmtree(folder)
        self.world.meet("after delete")


class InstantCloud(InstantTarget):
    """The toy as a target whose servers are paid for."""

    name = "instant-cloud"
    costs_money = True
