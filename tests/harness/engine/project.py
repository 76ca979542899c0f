"""A sample project on the instant target, driven through the real engine as a user would."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness.checkout import ROOT, Checkout, Outcome
from harness.engine.faults import Faults
from harness.engine.watcher import find_sealed
from harness.warm import Warm

__all__ = ["INSTANT", "ROOT", "SAMPLE", "Outcome", "Project"]

SAMPLE = ROOT / "tests/engine/sample"
INSTANT = ROOT / "tests/engine/instant"
"""Folders that its modules are imported from; the entry point is in the first."""


def make_images() -> dict[str, dict[str, Any]]:
    """Return the images of the sample."""
    return {"base": {}, "app": {"parent": "base", "sources": ["app"]}}


@dataclass
class Project(Checkout):
    """The copy of the sample and its world of files."""

    sample: ClassVar[Path] = SAMPLE
    warm: ClassVar[Warm | None] = None
    """The warm interpreter that its processes are forks of, where the tests have started one."""
    code: str = "1"
    read: int = 0
    images: dict[str, dict[str, Any]] = field(default_factory=make_images)

    @classmethod
    def create(cls, folder: Path) -> "Project":
        """Copy the sample and make its stack."""
        root = folder / "project"
        shutil.copytree(SAMPLE, root)
        shutil.copy(ROOT / "__main__.py", root)
        for name in ("world", "state"):
            (folder / name).mkdir()
        project = cls(root)
        project.revert_settings(keep=1)
        project.pulumi("stack", "init", "dev")
        return project

    def revert_settings(self, *, keep: int) -> None:
        """Have the settings that the sample begins with."""
        web = {
            "image": "app",
            "servers": 2,
            "port": 80,
            "route": {"port": 8080},
            "env": {"GREETING": "hello"},
            "drain": "1s",
            "keep": keep,
        }
        self.code, self.services = "1", {"web": web}
        self.write_settings()

    def copy_to(self, folder: Path) -> "Project":
        """Copy project, state and world; what names their place, the stack's owner, stays."""
        left_out = shutil.ignore_patterns("owners")
        for name in ("project", "state", "world", "cache"):
            if (self.root.parent / name).exists():
                shutil.copytree(self.root.parent / name, folder / name, ignore=left_out)
        services = {name: dict(service) for name, service in self.services.items()}
        return Project(folder / "project", services, self.stack, code=self.code, read=self.read)

    @property
    def world(self) -> Path:
        """The instant target's folder."""
        return self.root.parent / "world"

    @property
    def journal(self) -> Path:
        """What the target did, an event a line."""
        return self.world / "journal.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """Make the instant target known too."""
        found = super().environment
        warm = self.warm.render(found["PATH"]) if self.warm else {}
        folders = f"{INSTANT}:{ROOT / 'tests'}:{found['PYTHONPATH']}"
        return {**found, **warm, "PYTHONPATH": folders}

    def render_settings(self) -> dict[str, Any]:
        """Return the settings from `services` and `code`."""
        return {
            "target": "instant",
            "images": self.images,
            "services": self.services,
            "instant": {"folder": "../world", "code": self.code},
        }

    def drive(self, *words: str) -> Outcome:
        """Run the driver in the project."""
        done = subprocess.run(
            [sys.executable, "-m", "immutable_servers.driver", *words],
            cwd=self.root,
            env={**self.environment, "IMMUTABLE_PROJECT": str(self.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, {}, [], self._read_new(), {})

    def rewrite_state(self, old: str, new: str) -> None:
        """Replace a text everywhere in the stack's state."""
        file = self.root.parent / "state.json"
        self.pulumi("stack", "export", "-s", self.stack, "--file", str(file))
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.pulumi("stack", "import", "-s", self.stack, "--file", str(file))

    def _read_new(self) -> list[dict[str, Any]]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        new, self.read = lines[self.read :], len(lines)
        return [json.loads(line) for line in new]

    # what a test changes
    def break_app(self, service: str = "web") -> None:
        """Commit a broken application."""
        (self.root / "app" / f"broken-{service}").write_text(f"broken-{service}\n")

    def mend_app(self, service: str = "web", *, missing_ok: bool = False) -> None:
        """Revert it."""
        (self.root / "app" / f"broken-{service}").unlink(missing_ok=missing_ok)

    def set_fault(self, name: str, times: int = 1) -> None:
        """Have something go wrong at a moment of the next runs: `MOMENT: WHAT`."""
        Faults(self.world).set(name, times)

    def note(self, event: str, **facts: str) -> None:
        """Write into the target's journal what a test does by hand."""
        with self.journal.open("a") as journal:
            journal.write(json.dumps({"event": event, **facts}) + "\n")

    def take_sample(self) -> None:
        """Take all of the application from the sample again, as a revert would."""
        shutil.rmtree(self.root / "app")
        shutil.copytree(SAMPLE / "app", self.root / "app")

    def unlock(self) -> None:
        """Forget the lock of an engine that was killed, as the driver does, and faults to come."""
        Faults(self.world).clear()
        locks = self.root.parent / "state" / ".pulumi" / "locks"
        if list(locks.rglob("*.json")):
            self.pulumi("cancel", "--yes", "-s", self.stack)

    def edit_state(self, old: str, new: str) -> None:
        """Replace a text in the state, as somebody who edits it by hand."""
        file = self.root.parent / "state.json"
        self.pulumi("stack", "export", "-s", self.stack, "--file", str(file))
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.pulumi("stack", "import", "-s", self.stack, "--file", str(file))

    # what is true
    def read_source(self) -> str:
        """Return what a server of this checkout's application would answer."""
        return "".join(file.read_text() for file in sorted((self.root / "app").iterdir()))

    def find_left(self) -> list[str]:
        """Return what an update that works leaves nobody: fleets and keys of nobody's."""
        (service, settings), *_ = self.services.items()
        states = self.states(service)
        kept = {generation for generation, state in states.items() if state != "retired"}
        lost = [name for name in self.fleets(service) if name not in kept]
        many = list(kept)[settings["keep"] + 1 :]
        return [*lost, *many, *(file.name for file in (self.world / "keys").glob("*"))]

    def live(self, service: str = "web") -> str:
        """Return the generation that the balancer points to, empty when there is none."""
        file = self.world / "traffic" / f"{service}.json"
        weights: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return next(iter(weights), "")

    def answer(self, service: str = "web") -> str:
        """Return what a client is answered."""
        return (self.live_fleet(service) / "server-0").read_text()

    def read_spec(self, generation: str, service: str = "web") -> str:
        """Return what a fleet was launched with; empty when there is none."""
        file = self.world / "fleets" / f"{service}-{generation}" / "spec.json"
        return json.dumps(json.loads(file.read_text()), sort_keys=True) if file.exists() else ""

    def live_fleet(self, service: str = "web") -> Path:
        """Return the folder of the fleet that serves."""
        return self.world / "fleets" / f"{service}-{self.live(service)}"

    def fleets(self, service: str = "web") -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        folders = (self.world / "fleets").glob(f"{service}-*")
        return {f.name.rpartition("-")[2]: len(list(f.glob("server-*"))) for f in folders}

    def ask_three_questions(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert what must hold after every case.

        Does the balancer point to a fleet that exists, is whole and was verified? Was nothing
        deleted that served? Is the next `up` with nothing to do clean?
        """
        self.assert_serving(service, servers=servers)
        again = self.up()
        assert again.code == 0, again.text
        assert again.changes == {}, (again.steps, again.text)
        assert {event["event"] for event in again.events} <= {"catalog"}

    def assert_serving(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert the first two questions: what serves is whole, and nothing served was deleted."""
        live = self.live(service)
        assert live
        assert self.fleets(service).get(live) == servers
        events = [json.loads(line) for line in self.journal.open()]
        assert live in find_sealed(self.journal)
        assert not [e for e in events if e["event"] == "delete" and e["serving"]]
