"""A copy of a sample project and its stack, driven through the real engine as a user would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from immutable_servers.state.backend import make_file_url

if TYPE_CHECKING:  # it imports this module
    from harness.warm import Warm

ROOT = Path(__file__).parents[2]


def write_files(folder: Path, content: Mapping[str, str]) -> Path:
    """Write texts to files by their path below a folder, and return the folder."""
    for name, text in content.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def copy_checkout(root: Path, *wanted: str) -> None:
    """Copy what a clone of this checkout would hold; only paths that begin so, where named."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(wanted or "") and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)


@dataclass(frozen=True)
class Outcome:
    """What one run of the engine did.

    Attributes:
        code: The exit code.
        text: All that it printed.
        changes: How many resources had each operation, but `same`.
        steps: `operation type name` of each resource that changed.
        events: What the target noted while it ran.
        ended: When the last resource of each type was done, in seconds of the epoch.
    """

    code: int
    text: str
    changes: Mapping[str, int]
    steps: Sequence[str]
    events: Sequence[Mapping[str, Any]]
    ended: Mapping[str, int]

    def assert_failed(self, *words: str) -> None:
        """Assert that the run failed, and said all of this."""
        missing = [word for word in words if word not in self.text]
        assert self.code != 0, self.text
        assert not missing, f"not said: {missing}\n{self.text}"

    def count(self, event: str) -> int:
        """Return how often the target noted an event."""
        return sum(1 for noted in self.events if noted["event"] == event)


@dataclass
class Checkout:
    """The copy of a sample, in `<folder>/project`, with its state beside it."""

    root: Path
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    stack: str = "dev"

    sample: ClassVar[Path]
    name: ClassVar[str] = "immutable-servers"
    """The project's name."""
    timeout: ClassVar[int] = 120
    """Seconds that one command may take."""
    warm: ClassVar["Warm | None"] = None
    """The warm interpreter that its processes are forks of, where the tests have started one."""

    @classmethod
    def find_python(cls) -> str:
        """Return the interpreter for what a test starts: the warm one where there is one."""
        return str(cls.warm.python) if cls.warm else sys.executable

    @property
    def stack_file(self) -> Path:
        """The settings of the stack."""
        return self.root / f"Pulumi.{self.stack}.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: nothing of the user's own is read or written."""
        folder = self.root.parent
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {
            **os.environ,
            **(self.warm.render(path) if self.warm else {"PATH": path}),
            "PYTHONPATH": str(ROOT / "components"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PULUMI_HOME": str(self._find_home()),
            "PULUMI_BACKEND_URL": make_file_url(folder / "state"),
            "PULUMI_CONFIG_PASSPHRASE": "sample",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # makes --event-log known, as the Automation API does
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "NO_COLOR": "1",
            "GOGC": "400",  # a short life: collecting is a third of the CLI's start
        }

    def _find_home(self) -> Path:
        """Return the CLI's own folder; without a folder for logs, which take a third of its time.

        There is no switch: it logs all that it does, encrypted, to a folder that it has to make.
        """
        home = self.root.parent / "home"
        home.mkdir(exist_ok=True)
        if not (home / "logs").exists():
            (home / "logs").touch()
        return home

    def render_settings(self) -> dict[str, Any]:
        """Return the stack's settings by key."""
        raise NotImplementedError

    def write_settings(self) -> None:
        """Write the stack file; what the engine wrote there, and secrets, stay."""
        config = {f"{self.name}:{key}": value for key, value in self.render_settings().items()}
        old = yaml.safe_load(self.stack_file.read_text()) if self.stack_file.exists() else {}
        merged = {**old, "config": {**old.get("config", {}), **config}}
        self.stack_file.write_text(yaml.safe_dump(merged))

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the Pulumi CLI in the project."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self.timeout,
            check=check,
        )

    def run_driver(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run the driver in the project."""
        return subprocess.run(
            [sys.executable, "-m", "immutable_servers.driver", *words],
            cwd=self.root,
            env={**self.environment, "IMMUTABLE_PROJECT": str(self.root), **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )

    def up(self, *arguments: str) -> Outcome:
        """Update the stack."""
        return self._run("up", "--yes", "--skip-preview", *arguments)

    def preview(self, *arguments: str) -> Outcome:
        """Preview the stack."""
        return self._run("preview", *arguments)

    def destroy(self, *arguments: str) -> Outcome:
        """Destroy the stack as `./immutable destroy` does: unprotected, then deleted."""
        self.pulumi("state", "unprotect", "--all", "--yes", "-s", self.stack)
        return self._run("destroy", "--yes", "--skip-preview", *arguments)

    def _run(self, *arguments: str) -> Outcome:
        log = self.root.parent / "events.json"
        log.unlink(missing_ok=True)
        words = (*arguments, "-s", self.stack, "--event-log", str(log))
        done = self.pulumi(*words, check=False)
        with (self.root.parent / "runs.log").open("a") as runs:
            runs.write(f"$ pulumi {' '.join(words)}\n{done.stdout}\n")
        steps, changes, ended = _read_events(log)
        return Outcome(done.returncode, done.stdout, changes, steps, self._read_new(), ended)

    def _read_new(self) -> list[dict[str, Any]]:
        """Return what the target noted since the last run; nothing when it keeps no journal."""
        return []

    # what a test changes
    def edit(self, path: str, text: str) -> None:
        """Append a line to a file of the project."""
        with (self.root / path).open("a") as file:
            file.write(f"{text}\n")

    def put_back(self, path: str) -> None:
        """Take a file from the sample again, as a revert would."""
        shutil.copy(self.sample / path, self.root / path)

    # what is true
    def ledger(self, service: str = "web") -> dict[str, Any]:
        """Return a service's ledger as the stack exports it: an output of the stack's resource."""
        (file,) = (self.root.parent / "state").glob(f".pulumi/stacks/*/{self.stack}.json")
        stack = json.loads(file.read_text())["checkpoint"]["latest"]["resources"][0]
        found: dict[str, Any] = stack["outputs"]["ledger"][service]
        return found

    def states(self, service: str = "web") -> dict[str, str]:
        """Return the state of each generation by id."""
        records = self.ledger(service)["generations"]
        return {generation: record["state"] for generation, record in records.items()}


def _read_events(log: Path) -> tuple[list[str], dict[str, int], dict[str, int]]:
    steps: list[str] = []
    ended: dict[str, int] = {}
    lines = log.read_text().splitlines() if log.exists() else []
    for line in lines:
        event = json.loads(line)
        done = event.get("resOutputsEvent", {}).get("metadata")
        if done:
            ended[_read_urn(done["urn"])[0]] = event["timestamp"]
        metadata = event.get("resourcePreEvent", {}).get("metadata")
        if metadata and metadata["op"] not in ("same", "read", "read-replacement"):
            kind, name = _read_urn(metadata["urn"])
            steps.append(f"{metadata['op']} {kind} {name}")
    counted: dict[str, int] = {}
    for step in steps:
        operation = step.split()[0]
        counted[operation] = counted.get(operation, 0) + 1
    return steps, counted, ended


def _read_urn(urn: str) -> tuple[str, str]:
    """Return the last part of a resource's type, and its name."""
    _, _, kinds, name = urn.split("::", 3)
    return kinds.rpartition(":")[2], name
