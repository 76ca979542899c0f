"""Random sequences of changes and faults, against a small model of what must be live.

The model knows texts: what the checkout's application says, and what a client is answered.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from harness.engine.matrix import (
    SOURCE,
    lose_artifacts,
    lose_fleet,
    lose_idle_fleets,
    lose_server,
    upgrade,
)
from harness.engine.project import Outcome, Project
from harness.engine.watcher import Watcher, start_watching
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.requests import VARIABLE, Request

SEQUENCES = int(os.environ.get("IMMUTABLE_SEQUENCES", "200"))
FIRST_SEED = int(os.environ.get("IMMUTABLE_SEED", "0"))
"""`./immutable bench --sequences N` sets both; CI plays the same sequences every time."""
PARTS = 8
STEPS = 2
BROKEN = "broken-web"


def say(text: str) -> Callable[[Project], None]:
    """Return the change to an application that says something."""

    def change(project: Project) -> None:
        project.take_sample()
        project.edit(SOURCE, text)

    return change


def configure(**fields: object) -> Callable[[Project], None]:
    """Return a change of the service's settings."""

    def change(project: Project) -> None:
        project.services["web"].update(fields)
        project.write_settings()

    return change


CHANGES: Mapping[str, Callable[[Project], None]] = {
    "nothing": lambda _project: None,
    "revert": Project.take_sample,
    "say two": say("two"),
    "say three": say("three"),
    "break": Project.break_app,
    "grow the size": configure(size="medium"),
    "shrink the size": configure(size="small"),
    "keep none": configure(keep=0),
    "keep one": configure(keep=1),
    "promise more": lambda project: project.edit("tests/servers/test_sample.py", "# more"),
    "upgrade": upgrade,
    "lose a server": lose_server,
    "lose the fleet": lose_fleet,
    "lose the artifacts": lose_artifacts,
    "lose the idle fleets": lose_idle_fleets,
}
HARM = ("lose a server", "lose the fleet")
FAULTS = (
    "",
    "before bake: refuse",
    "after bake: kill engine",
    "after key: refuse",
    "half launch: refuse",
    "half launch: kill engine",
    "half launch: kill provider",
    "before login: refuse",
    "before login: kill engine",
    "after seal: kill engine",
    "before traffic: disk full",
    "after traffic: refuse",
    "after traffic: kill engine",
    "after traffic: interrupt engine",
    "before drain: refuse",
    "half delete: refuse",
    "half delete: kill engine",
    "after delete: kill provider",
)
FLAGS: Sequence[Sequence[str]] = (
    (),
    (),
    (),
    ("--continue-on-error",),
    ("--refresh",),
    ("--target", "**Traffic::web"),
    ("--exclude", "**Seal::web-*"),
    ("--exclude", "**InstantFleet::web-*"),
    ("--replace", "**Release::web"),
)


class Sequences(RuleBasedStateMachine):
    """One project after the other, each a copy of one whose first generation serves.

    Attributes:
        answer: What a client must be answered; empty while somebody's harm is not mended.
        pinned: What it is answered until the pin is gone, whatever the source says.
    """

    first: ClassVar[Project]

    def __init__(self) -> None:
        super().__init__()
        self.ending = ExitStack()
        folder = Path(self.ending.enter_context(TemporaryDirectory(prefix="sequence-")))
        self.project = self.first.copy_to(folder)
        self.watcher: Watcher = self.ending.enter_context(start_watching(self.project.world))
        self.answer = self.project.answer()
        self.pinned = ""

    @property
    def wanted(self) -> str:
        """What the next run should bring about; empty when its candidate cannot pass."""
        source = self.project.read_source()
        return self.pinned or ("" if BROKEN in source else source)

    @rule(change=st.sampled_from(sorted(CHANGES)))
    def update(self, change: str) -> None:
        """Change something and update: it works unless the source is broken."""
        self.do(change)
        done = self.project.up()
        assert (done.code == 0) == bool(self.wanted), done.text
        self.settle(self.wanted or self.answer)

    @rule(
        change=st.sampled_from(sorted(CHANGES)),
        fault=st.sampled_from(FAULTS),
        words=st.sampled_from(FLAGS),
    )
    def update_with_trouble(self, change: str, fault: str, words: Sequence[str]) -> None:
        """Something goes wrong: a client is answered what it was, or what is wanted."""
        self.do(change)
        if fault:
            self.project.set_fault(fault)
        self.project.up(*words)
        self.project.unlock()
        if not self.answer and not self.project.live_fleet().exists():
            return
        if self.answer:
            found = self.project.answer()
            assert found in (self.answer, self.wanted)
            self.answer = found

    @rule()
    def roll_back(self) -> None:
        """Pin a service to a standby, where there is one: that takes no bake and no boot.

        No precondition says so: what is drawn must not depend on what the engine did.
        """
        if self.pinned or not self.answer:
            return
        live, fleets = self.project.live(), self.project.fleets()
        records = self.project.ledger()["generations"]
        standbys = [g for g in fleets if records.get(g, {}).get("state") == "standby"]
        if not standbys:
            return
        (standby, *_) = standbys
        folder = self.project.world / "fleets" / f"web-{standby}"
        answer = (folder / "server-0").read_text()
        left = records[live]["version"]
        pin = Pinned(standby, who="me", at="now", why="slow", left=left)
        done = self.ask(Request(pins={"web": pin}))
        assert done.code == 0, done.text
        assert (done.count("bake"), done.count("boot")) == (0, 0)
        self.pinned = answer
        self.settle(answer)

    def teardown(self) -> None:
        """Mend everything: every sequence ends where the source says, and clean."""
        try:
            self.project.mend_app(missing_ok=True)
            done = self.ask(Request(pins={"web": None}))
            assert done.code == 0, done.text
            self.pinned = ""
            self.settle(self.wanted)
            assert self.project.find_left() == []
            self.project.ask_three_questions(servers=1)
        finally:
            self.ending.close()

    def do(self, change: str) -> None:
        """Do a change; harm by hand is excused until it is mended."""
        if change in HARM:
            self.watcher.excused.add(self.project.live())
            self.answer = ""
        CHANGES[change](self.project)

    def ask(self, request: Request) -> Outcome:
        """Update with what the driver's `rollback` and `resume` ask for."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, request.render())
            return self.project.up()

    def settle(self, answer: str) -> None:
        """Assert what a client is answered after a run that nothing troubled."""
        if answer:
            assert self.project.answer() == answer
        self.answer = answer


@pytest.fixture(scope="module")
def first(first_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the project that each sequence begins with a copy of: one server is enough."""
    folder = tmp_path_factory.mktemp("sequences")
    project = first_run.copy_to(folder)
    project.services["web"]["servers"] = 1
    project.write_settings()
    done = project.up()
    assert done.code == 0, done.text
    return project


@pytest.mark.parametrize("part", range(PARTS))
def test_sequences(first: Project, part: int) -> None:
    """Whatever happens in whatever order, clients are served by a whole and verified fleet."""
    machine = seed(FIRST_SEED * PARTS + part)(type(f"Part{part}", (Sequences,), {"first": first}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=-(-SEQUENCES // PARTS),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
