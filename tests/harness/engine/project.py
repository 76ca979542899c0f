"""A sample project on the instant target, driven through the real engine as a user would."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness import clock
from harness.checkout import ROOT, Checkout, Outcome
from harness.engine.faults import Faults
from harness.engine.watcher import find_sealed
from immutable_servers.planning.requests import VARIABLE, Request

__all__ = ["INSTANT", "ROOT", "SAMPLE", "Outcome", "Project"]

SAMPLE = ROOT / "tests/engine/sample"
INSTANT = ROOT / "tests/engine/instant"
"""Folders that its modules are imported from; the entry point is in the first."""


MOST_STATES = 4
"""How many earlier states are kept."""


def make_images() -> dict[str, dict[str, Any]]:
    """Return the images of the sample."""
    return {"base": {}, "app": {"parent": "base", "sources": ["app"]}}


@dataclass
class Project(Checkout):
    """The copy of the sample and its world of files."""

    sample: ClassVar[Path] = SAMPLE
    code: str = "1"
    read: int = 0
    images: dict[str, dict[str, Any]] = field(default_factory=make_images)
    earlier: list[Any] = field(default_factory=list)
    """The states before the last runs, for somebody who imports one."""

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
    def moved_clock(self) -> Path:
        """The clock of what runs in it."""
        return self.world / "clock"

    @property
    def journal(self) -> Path:
        """What the target did, an event a line."""
        return self.world / "journal.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """Make the instant target known too."""
        found = super().environment
        folders = f"{INSTANT}:{ROOT / 'tests'}:{found['PYTHONPATH']}"
        moved = {clock.VARIABLE: str(self.moved_clock)}
        return {**found, **moved, "PYTHONPATH": folders}

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

    def log_in(self, generation: str, service: str = "web", *, as_printed: bool = True) -> None:
        """Have been on the first server of a generation, over the login that a failure prints.

        Args:
            generation: Its id.
            service: Its service.
            as_printed: By the printed command, which notes it on this machine too; not by its key.
        """
        name = f"{service}-{generation}"
        people = self.world / "people" / f"{self.name}-{self.stack}-{name}"
        assert (people / "key").exists()
        (self.world / "logins").mkdir(exist_ok=True)
        (self.world / "logins" / f"{name}-0").write_text("12:03")
        if as_printed:
            (people / "used").write_text("12:03")

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

    def move_to_cloud(self) -> None:
        """Name the same target by its other name, under which its servers cost money."""
        for file in (self.stack_file, self.root / "packer" / "base" / "upstream.lock.json"):
            file.write_text(file.read_text().replace("instant", "instant-cloud"))
        for template in self.root.glob("packer/*/instant.pkr.hcl"):
            template.rename(template.with_name("instant-cloud.pkr.hcl"))

    def import_older(self, number: int) -> None:
        """Put back the state that was there before one of the last runs."""
        if self.earlier:
            self.state_file.write_text(self.earlier[-number:][0])

    def forget(self, kind: str) -> None:
        """Take the first resource of a kind out of the state, and what depends on it.

        Pulumi does not where an older one of its name still waits for its delete.
        """
        shown = self.pulumi("stack", "--show-urns", "-s", self.stack).stdout.split()
        found = [word for word in shown if f":{kind}::" in word]
        if found:
            stack = ("--yes", "-s", self.stack)
            self.pulumi("state", "unprotect", "--all", *stack)
            words = ("state", "delete", found[0], "--force", "--target-dependents", *stack)
            done = self.pulumi(*words, check=False)
            assert done.returncode == 0 or "ambiguously" in done.stdout, done.stdout

    def prepare(self, *, wait: int, kill_at: float) -> None:
        """Do nothing: only the simulation has a clock that can be moved, and counts steps."""

    # runs
    def ask(self, request: Request, *flags: str) -> Outcome:
        """Update with what a command of the driver asks for, and keep the state from before."""
        self.earlier = [*self.earlier, self.state_file.read_text()][-MOST_STATES:]
        os.environ[VARIABLE] = request.render()
        try:
            return self.up(*flags)
        finally:
            del os.environ[VARIABLE]

    # what is true
    @property
    def state_file(self) -> Path:
        """The file that holds the stack's state."""
        (file,) = (self.root.parent / "state").glob(f".pulumi/stacks/*/{self.stack}.json")
        return file

    def read_output(self, name: str) -> Any:  # noqa: ANN401 - whatever a run exported
        """Return an output of the stack, None where there is none."""
        resources = json.loads(self.state_file.read_text())["checkpoint"]["latest"]["resources"]
        return resources[0].get("outputs", {}).get(name)

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
        keys = (file.name for name in ("keys", "people") for file in (self.world / name).glob("*"))
        return [*lost, *many, *keys]

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
