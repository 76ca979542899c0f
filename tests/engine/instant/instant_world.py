"""The files that stand for images, fleets and pointers; a journal says what was done to them."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.engine.faults import Faults
from harness.engine.folders import remove_folder
from immutable_servers.contract.front import Reply
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
        lengths = {name: len(value) for name, value in request.secrets.items()}
        self.note("bake", image=request.image, version=request.version, secrets=lengths)
        answer = self.read_sources(request.inputs)
        artifact = Artifact(
            image=request.image,
            version=request.version,
            id=f"{request.image}/{request.version}",
            parents=dict(request.lineage["parents"]),
            facts={
                "manifest": dict(request.manifest),
                "answer": answer,
                "baked_at": request.lineage["baked_at"],
            },
            digest=request.lineage["digest"],
        )
        self.write(self.artifact_file(artifact.id), artifact.to_plain())
        self.meet("after bake")

    def read_sources(self, archive: Path) -> str:
        """Return the text of all files of an archive's `sources/`."""
        with tarfile.open(archive) as packed:
            members = [one for one in packed if one.isfile() and one.name.startswith("sources/")]
            files = [packed.extractfile(member) for member in members]
            return "".join(file.read().decode() for file in files if file)

    def point(self, service: str, weights: dict[str, int]) -> None:
        """Write a service's pointer, whole at every moment."""
        self.meet("before traffic")
        behind = self.read_behind(service)
        self.write(self.behind(service), weights if self._follows(service) else behind)
        self.write(self.pointer(service), weights)
        self.path("moved", service).touch()
        (self.folder / "begun").unlink(missing_ok=True)
        self.note("traffic", service=service, weights=weights)
        self.meet("after traffic")

    def ask_nodes(self, service: str) -> list[Reply]:
        """Answer as two nodes, one of which follows the pointer when a test lets it.

        `late.json` says for a service after how many questions it does; less than 0 is never.
        """
        moved = self.path("moved", service)
        if moved.exists():
            moved.unlink()
            self.meet("in settling")
        self.note("ask", service=service)
        now, behind = self.read_weights(service), self.read_behind(service)
        if behind != now and self._follows(service):
            behind = now
            self.write(self.behind(service), now)
        return [self._answer("first", service, now), self._answer("second", service, behind)]

    def read_behind(self, service: str) -> dict[str, int]:
        """Return where the node that may be late sends a service's requests."""
        file = self.behind(service)
        return json.loads(file.read_text()) if file.exists() else self.read_weights(service)

    def behind(self, service: str) -> Path:
        """Return the file that says what the node that may be late does."""
        return self.path("behind", f"{service}.json")

    def _follows(self, service: str) -> bool:
        file = self.folder / "late.json"
        late = json.loads(file.read_text()) if file.exists() else {}
        left = late.get(service, 0)
        if left > 0:
            self.write(file, {**late, service: left - 1})
        return bool(left == 0)

    def _answer(self, node: str, service: str, weights: dict[str, int]) -> Reply:
        generation = max(weights, key=lambda one: weights[one], default="")
        if not any((self.folder / "fleets" / f"{service}-{generation}").glob("server-*")):
            return Reply(node, 503)
        return Reply(node, 200, (f"{service}-{generation}",))

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
        for number in range(spec.servers):
            server = folder / f"server-{number}"
            if not server.exists():
                server.write_text(self.read_answer(spec.artifact))
                self.note("boot", server=number, **where)
            self.meet("half launch")
        for server in folder.glob("server-*"):
            if int(server.name[7:]) >= spec.servers:
                server.unlink()
        self.note("launch", servers=spec.servers, **where)
        self.meet("after launch")

    def people(self, name: str) -> Path:
        """Return the folder of people's key of a generation, and of what is known of its use."""
        return self.folder / "people" / name

    def delete_key(self, name: str) -> None:
        """Remove the verifier's key and people's."""
        self.path("keys", name).unlink(missing_ok=True)
        remove_folder(self.people(name))

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
        # Who points a service nowhere takes it from its users, whatever a late node still does.
        pointer = self.read_weights(scope.service)
        nodes = (pointer, self.read_behind(scope.service)) if pointer else ()
        serving = any(weights.get(scope.generation) for weights in nodes)
        where = {"service": scope.service, "generation": scope.generation}
        self.note("delete", serving=serving, **where)
        for server in folder.glob("server-*"):
            server.unlink()
            self.meet("half delete")
        remove_folder(folder)
        self.meet("after delete")
