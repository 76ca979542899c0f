"""A sample project on the instant target, driven through the real engine as a user would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "sample"
INSTANT = Path(__file__).parent / "instant"
TIMEOUT = 120


@dataclass(frozen=True)
class Outcome:
    """What one run of the engine did.

    Attributes:
        code: The exit code.
        text: All that it printed.
        changes: How many resources had each operation, but `same`.
        steps: `operation type name` of each resource that changed.
        events: What the target noted while it ran.
    """

    code: int
    text: str
    changes: Mapping[str, int]
    steps: Sequence[str]
    events: Sequence[Mapping[str, Any]]

    def count(self, event: str) -> int:
        """Return how often the target noted an event."""
        return sum(1 for noted in self.events if noted["event"] == event)


@dataclass
class Project:
    """The copy of the sample and its world of files."""

    root: Path
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    code: str = "1"
    read: int = 0

    @classmethod
    def create(cls, folder: Path) -> "Project":
        """Copy the sample and make its stack."""
        root = folder / "project"
        shutil.copytree(SAMPLE, root)
        shutil.copy(ROOT / "__main__.py", root)
        for name in ("world", "state"):
            (folder / name).mkdir()
        project = cls(root)
        project.services["web"] = {
            "image": "app",
            "servers": 2,
            "port": 80,
            "route": {"port": 8080},
            "env": {"GREETING": "hello"},
            "drain": "1s",
            "keep": 1,
        }
        project.write_settings()
        project.pulumi("stack", "init", "dev")
        return project

    def copy_to(self, folder: Path) -> "Project":
        """Copy project, state and world; nothing in them names their place."""
        shutil.copytree(self.root.parent, folder, dirs_exist_ok=True)
        services = {name: dict(service) for name, service in self.services.items()}
        return Project(folder / "project", services, self.code, self.read)

    @property
    def world(self) -> Path:
        """The instant target's folder."""
        return self.root.parent / "world"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: nothing of the user's own is read or written."""
        folder = self.root.parent
        paths = [str(INSTANT), str(ROOT / "components")]
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "sample",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # makes --event-log known, as the Automation API does
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "NO_COLOR": "1",
        }

    def write_settings(self) -> None:
        """Write the stack file from `services` and `code`."""
        settings = {"folder": "../world", "code": self.code}
        values = {
            "target": "instant",
            "images": {"base": {}, "app": {"parent": "base", "sources": ["app"]}},
            "services": self.services,
            "instant": settings,
        }
        config = {f"immutable-servers:{key}": value for key, value in values.items()}
        file = self.root / "Pulumi.dev.yaml"
        old = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**old, "config": config}))

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the Pulumi CLI in the project."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=check,
        )

    def up(self, *arguments: str) -> Outcome:
        """Update the stack."""
        return self._run("up", "--yes", "--skip-preview", *arguments)

    def preview(self, *arguments: str) -> Outcome:
        """Preview the stack."""
        return self._run("preview", *arguments)

    def destroy(self, *arguments: str) -> Outcome:
        """Destroy the stack as `./immutable destroy` does: unprotected, then deleted."""
        self.pulumi("state", "unprotect", "--all", "--yes", "-s", "dev")
        return self._run("destroy", "--yes", "--skip-preview", *arguments)

    def _run(self, *arguments: str) -> Outcome:
        log = self.root.parent / "events.json"
        log.unlink(missing_ok=True)
        done = self.pulumi(*arguments, "-s", "dev", "--event-log", str(log), check=False)
        steps, changes = _read_events(log)
        return Outcome(done.returncode, done.stdout, changes, steps, self._read_new())

    def _read_new(self) -> list[dict[str, Any]]:
        journal = self.world / "journal.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        new, self.read = lines[self.read :], len(lines)
        return [json.loads(line) for line in new]

    # what a test changes
    def edit(self, path: str, text: str) -> None:
        """Append a line to a file of the project."""
        with (self.root / path).open("a") as file:
            file.write(f"{text}\n")

    def put_back(self, path: str) -> None:
        """Take a file from the sample again, as a revert would."""
        shutil.copy(SAMPLE / path, self.root / path)

    def break_app(self, service: str = "web") -> None:
        """Commit a broken application."""
        (self.root / "app" / f"broken-{service}").write_text("broken\n")

    def mend_app(self, service: str = "web") -> None:
        """Revert it."""
        (self.root / "app" / f"broken-{service}").unlink()

    def set_fault(self, name: str, times: int = 1) -> None:
        """Have the next operations of a kind go wrong."""
        file = self.world / "faults.json"
        faults = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**faults, name: times}))

    # what is true
    def ledger(self, service: str = "web") -> dict[str, Any]:
        """Return a service's ledger as the stack exports it."""
        done = self.pulumi("stack", "output", "ledger", "--json", "-s", "dev")
        found: dict[str, Any] = json.loads(done.stdout)[service]
        return found

    def states(self, service: str = "web") -> dict[str, str]:
        """Return the state of each generation by id."""
        records = self.ledger(service)["generations"]
        return {generation: record["state"] for generation, record in records.items()}

    def live(self, service: str = "web") -> str:
        """Return the generation that the balancer points to, empty when there is none."""
        file = self.world / "traffic" / f"{service}.json"
        weights: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return next(iter(weights), "")

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
        events = [json.loads(line) for line in (self.world / "journal.jsonl").open()]
        sealed = {e["generation"] for e in events if e["event"] == "seal"}
        assert live in sealed
        assert not [e for e in events if e["event"] == "delete" and e["serving"]]


def _read_events(log: Path) -> tuple[list[str], dict[str, int]]:
    steps: list[str] = []
    lines = log.read_text().splitlines() if log.exists() else []
    for line in lines:
        event = json.loads(line)
        metadata = event.get("resourcePreEvent", {}).get("metadata")
        if metadata and metadata["op"] not in ("same", "read", "read-replacement"):
            kind, _, name = metadata["urn"].split("$")[-1].partition("::")
            steps.append(f"{metadata['op']} {kind.rpartition(':')[2]} {name}")
    counted: dict[str, int] = {}
    for step in steps:
        operation = step.split()[0]
        counted[operation] = counted.get(operation, 0) + 1
    return steps, counted
