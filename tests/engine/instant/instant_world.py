"""The files that stand for images, fleets and pointers; a journal says what was done to them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.engine.faults import Faults
from immutable_servers.contract.values import (
    ALL,
    Answers,
    Artifact,
    BakeRequest,
    Drift,
    Fleet,
    FleetSpec,
    Scope,
)
from immutable_servers.errors import LaunchError


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

    def find_servers(self, scope: Scope) -> dict[str, Path]:
        """Return the servers of a generation by name."""
        files = sorted(self.fleet_folder(scope).glob("server-*"))
        return {f"{scope.service}-{scope.generation}-{file.name[7:]}": file for file in files}

    def list_fleets(self) -> Iterator[tuple[Path, FleetSpec]]:
        """Yield the folder and the spec of each fleet."""
        for file in sorted(self.folder.glob("fleets/*/spec.json")):
            yield file.parent, FleetSpec.from_plain(json.loads(file.read_text()))

    def read_weights(self, service: str) -> dict[str, int]:
        """Return where a service's traffic goes."""
        file = self.pointer(service)
        return json.loads(file.read_text()) if file.exists() else {}

    def pointer(self, service: str) -> Path:
        """Return the file that holds a service's pointer."""
        return self.path("traffic", f"{service}.json")

    def artifact_file(self, artifact: str) -> Path:
        """Return the file of an artifact by its id."""
        return self.path("images", f"{artifact.replace('/', '-')}.json")

    def read_artifact(self, file: Path) -> Artifact:
        """Read an artifact's file."""
        return Artifact.from_plain(json.loads(file.read_text()))

    def read_answer(self, artifact: str) -> str:
        """Return what a server of an artifact answers."""
        file = self.artifact_file(artifact)
        if not file.exists():
            raise LaunchError(f"There is no artifact {artifact}", todo="Bake it again.")
        answer: str = self.read_artifact(file).facts["answer"]
        return answer

    def bake(self, request: BakeRequest) -> None:
        """Write a file with what the servers will answer: the text of all sources.

        Packer runs in the tests of images and in those of the local target.
        """
        self.meet("before bake")
        sources = sorted(file for file in request.sources.rglob("*") if file.is_file())
        lengths = {name: len(value) for name, value in request.secrets.items()}
        self.note("bake", image=request.image, version=request.version, secrets=lengths)
        answer = "".join(file.read_text() for file in sources)
        artifact = Artifact(
            image=request.image,
            version=request.version,
            id=f"{request.image}/{request.version}",
            parents=dict(request.lineage["parents"]),
            facts={"manifest": dict(request.manifest), "answer": answer},
        )
        self.write(self.artifact_file(artifact.id), artifact.to_plain())
        self.meet("after bake")

    def point(self, service: str, weights: dict[str, int]) -> None:
        """Write a service's pointer, whole at every moment."""
        self.meet("before traffic")
        self.write(self.pointer(service), weights)
        (self.folder / "begun").unlink(missing_ok=True)
        self.note("traffic", service=service, weights=weights)
        self.meet("after traffic")

    def count_answers(self, scope: Scope) -> dict[str, Answers]:
        """Read a file that a test writes: what a share is answered, and all of it `after`.

        A generation begins to count when it gets all of the traffic.
        """
        file, begun = self.folder / "answers.json", self.folder / "begun"
        answers = json.loads(file.read_text()) if file.exists() else {}
        weight = self.read_weights(scope.service).get(scope.generation, 0)
        if weight == ALL:
            self.meet("in watch")
        if not weight or (weight == ALL and not begun.exists()):
            begun.touch()
            return {"one": Answers(0, 0)}
        found = answers.get("after", {}) if weight == ALL else answers.get("share", {})
        return {"one": Answers(**found)} if found else {}

    def describe_fleet(self, folder: Path, spec: FleetSpec) -> Fleet:
        """Return a fleet as its folder is."""
        return Fleet(
            generation=spec.scope.generation,
            record=spec.record,
            servers=spec.servers,
            whole=not any(drift.kind == "missing" for drift in self.find_drift(spec)),
            running=len(self.find_servers(spec.scope)),
            leaving=(folder / "leaving").exists(),
        )

    def launch(self, spec: FleetSpec, handle: str = "") -> None:
        """Make the folder and its servers, each with what it answers; note who asked first."""
        self.meet("before launch")
        folder = self.fleet_folder(spec.scope)
        folder.mkdir(exist_ok=True)
        if handle:
            (folder / "handle").write_text(handle)
        self.write(folder / "spec.json", spec.to_plain())
        where = {"service": spec.scope.service, "generation": spec.scope.generation}
        answer = self.read_answer(spec.artifact)
        for number in range(spec.servers):
            server = folder / f"server-{number}"
            if not server.exists():
                server.write_text(answer)
                self.note("boot", server=number, **where)
            self.meet("half launch")
        for server in folder.glob("server-*"):
            if int(server.name[7:]) >= spec.servers:
                server.unlink()
        self.note("launch", servers=spec.servers, **where)
        self.meet("after launch")

    def find_handle(self, scope: Scope) -> str:
        """Return the handle of the resource that made or adopted a fleet last."""
        file = self.fleet_folder(scope) / "handle"
        return file.read_text() if file.exists() else ""

    def find_drift(self, spec: FleetSpec) -> Iterator[Drift]:
        """Yield what differs of a fleet's folder from its spec."""
        generation, name = spec.scope.generation, f"{spec.scope.service}-{spec.scope.generation}"
        wanted = {f"{name}-{number}" for number in range(spec.servers)}
        found = self.find_servers(spec.scope).keys()
        for server in sorted(wanted - found):
            yield Drift(generation, "missing", server, "its file is gone")
        for server in sorted(found - wanted):
            yield Drift(generation, "added", server, "its file is there")

    def delete(self, scope: Scope) -> None:
        """Remove the folder, and note whether it served: that must never happen."""
        self.meet("before delete")
        folder = self.fleet_folder(scope)
        if not folder.exists():
            return
        (folder / "leaving").touch()
        serving = bool(self.read_weights(scope.service).get(scope.generation))
        where = {"service": scope.service, "generation": scope.generation}
        self.note("delete", serving=serving, **where)
        for server in folder.glob("server-*"):
            server.unlink()
            self.meet("half delete")
        shutil.rmtree(folder)
        self.meet("after delete")
