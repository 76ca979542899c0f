"""An emulated cloud as tests have it: a process beside them, its journal, its faults, its clock."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import pytest

from clouds.shared.cloud_clock import NAME, Clock
from harness.checkout import ROOT, Checkout

REFUSED = 400
"""The first HTTP code of a refused call."""
OURS = "immutable-servers"
"""A word of the user agent that our own code has."""


class Plugin(NamedTuple):
    """A provider's plugin.

    Attributes:
        name: Also of the cloud's folder, where the stand-in for it is.
        major: Of the official one.
        in_process: What each Python process of a run imports at its start, below `tests/clouds`.
    """

    name: str
    major: int
    in_process: str = "shared/in_process"


@dataclass
class EmulatedCloud:
    """One emulated cloud.

    Attributes:
        folder: Its journal and its faults.
        endpoint: Where its API answers.
        network: The first two numbers of its addresses.
        read: How much of the journal was read.
    """

    folder: Path
    endpoint: str
    network: str
    read: int = 0

    plugin: ClassVar[Plugin]
    server: ClassVar[str]
    """The module that runs it: with a folder it prints endpoint and network, and serves."""

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        """Start one; it ends with the block, and with the process that runs it."""
        folder.mkdir(parents=True, exist_ok=True)
        words = [Checkout.find_python(), "-u", "-m", cls.server, str(folder)]
        with (folder / "server.log").open("w") as log:
            server = subprocess.Popen(
                words,
                cwd=ROOT / "tests",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, (folder / "server.log").read_text()
            yield cls(folder, **json.loads(line))
        finally:
            server.communicate(timeout=20)

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDK and the provider plugin to it: their own settings, nothing else."""
        raise NotImplementedError

    @staticmethod
    def forget_clients() -> None:
        """Have our code make its clients anew."""
        raise NotImplementedError

    @contextmanager
    def lead_here(self) -> Iterator[None]:
        """Have this process's own calls go to it in the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self.forget_clients()
            yield
        self.forget_clients()

    # the journal
    def read_new(self) -> list[dict[str, Any]]:
        """Return what was noted since the last look."""
        new = self.read_all()[self.read :]
        self.read += len(new)
        return new

    def read_all(self) -> list[dict[str, Any]]:
        """Return all that was noted; the last line may be under way."""
        journal = self.folder / "journal.jsonl"
        text = journal.read_text() if journal.exists() else ""
        lines = text.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines]

    # what goes wrong
    def add_fault(self, name: str, fault: Mapping[str, Any]) -> None:
        """Have the next calls of a kind go wrong, as the cloud's server reads it."""
        self._merge("faults.json", {name: fault})

    def slow_down(self, call: str) -> None:
        """Have the calls of a kind be refused for their number, from now on."""
        raise NotImplementedError

    def lose_answers(self, call: str) -> None:
        """Have the next call of a kind be carried out and not answered."""
        raise NotImplementedError

    def end_credentials(self) -> None:
        """Have every call be refused from now on, since credentials have ended."""
        raise NotImplementedError

    def clear_faults(self) -> None:
        """Have every call go well again."""
        (self.folder / "faults.json").unlink(missing_ok=True)

    def set_manners(self, **manners: Any) -> None:  # noqa: ANN401 - see each cloud's manners
        """Have it behave otherwise from now on."""
        self._merge("manners.json", manners)

    def _merge(self, name: str, words: Mapping[str, Any]) -> None:
        """Write words beside those that a file of the folder has, in one step."""
        file = self.folder / name
        before = json.loads(file.read_text()) if file.exists() else {}
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({**before, **words}))
        fresh.replace(file)

    # its clock
    def find_time(self) -> float:
        """Return the time by its clock."""
        return Clock(self.folder / NAME).now()

    def pass_by(self, seconds: float) -> None:
        """Have its clock, and that of runs on it, be later."""
        Clock(self.folder / NAME).pass_by(seconds)


def count_ours(events: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Return how often our own code made each call; the provider plugin makes calls of its own."""
    asked = (e for e in events if e["event"] == "api" and OURS in e["agent"])
    return Counter(e["call"] for e in asked)


def list_done(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the API's calls that did what they were for."""
    return [event for event in events if event["event"] == "api" and event["code"] < REFUSED]


def find_calls(events: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Return the calls of a kind that were answered, and not refused."""
    return [call for call in list_done(events) if call["call"] == name]
