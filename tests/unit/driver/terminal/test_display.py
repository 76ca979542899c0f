"""What a run shows of the engine's events: in plain lines, in a terminal, in the logs of CI."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from immutable_servers.driver.commands import up
from immutable_servers.driver.engine.past_runs import find_expected
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.results import find_serving, make_outcome
from immutable_servers.driver.engine.updates import LEFT, describe_interrupt
from immutable_servers.driver.phases import PHASES, Timeline, Work, find_work
from immutable_servers.driver.terminal import display
from immutable_servers.driver.terminal.groups import GITHUB, GITLAB, Groups, Marks
from immutable_servers.driver.terminal.live import Live
from immutable_servers.driver.terminal.plain import Expected, Plain
from immutable_servers.errors import VerificationError

WHOLE = VerificationError("2 checks failed", facts=["web-0: assert False"], todo="Look.")
DYNAMIC = "pulumi-python:dynamic/immutable-servers"
PARENTS = "immutable-servers:index:Service$immutable-servers:index:Generation"
BAKE, VERIFY = Work("bake", "app", "app"), Work("verify", "web", "web-3f2a9c41")


class Lines(Plain):
    """Keeps what is said."""

    def __init__(self, expected: Expected | None = None) -> None:
        super().__init__(expected or {})
        self.lines: list[str] = []

    def put(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)


def make_event(
    kind: str, operation: str, type_: str = "Image", name: str = "app", parents: str = ""
) -> dict[str, Any]:
    """Return an event about one resource."""
    type_ = type_ if ":" in type_ else f"{DYNAMIC}:{type_}"
    urn = f"urn:pulumi:dev::shop::{f'{parents}$' if parents else ''}{type_}::{name}"
    return {kind: {"metadata": {"op": operation, "urn": urn, "type": type_}}}


def make_diagnostic(severity: str, message: str) -> dict[str, Any]:
    """Return an event that says something."""
    return {"diagnosticEvent": {"severity": severity, "message": message}}


# phases


@pytest.mark.parametrize(
    ("operation", "type_", "name", "phase"),
    [
        ("create-replacement", "Image", "app", "bake"),
        ("delete-replaced", "Image", "app", None),
        ("create", "LocalFleet", "web-3f2a9c41", "launch"),
        ("create", "aws:autoscaling/group:Group", "web-3f2a9c41", "launch"),
        ("update", "LocalFleet", "web-3f2a9c41", "launch"),
        ("create", "Access", "web-3f2a9c41", None),
        ("create", "Retirement", "web-3f2a9c41", None),
        ("create", "Verification", "web-3f2a9c41", "verify"),
        ("update", "Seal", "web-3f2a9c41", "seal"),
        ("update", "Traffic", "web", "traffic"),
        ("same", "Traffic", "web", None),
        ("delete", "LocalFleet", "web-3f2a9c41", "retire"),
        ("create", "pulumi:pulumi:Stack", "shop-dev", None),
    ],
)
def test_the_phase_of_each_step(operation: str, type_: str, name: str, phase: str | None) -> None:
    """A fleet is told by its place in a generation, so that no target's own types are named."""
    parents = "" if type_.endswith(("Stack", "Image", "Traffic")) else PARENTS
    event = make_event("resourcePreEvent", operation, type_, name, parents)
    work = find_work(event["resourcePreEvent"]["metadata"])
    assert (work.phase if work else None) == phase
    if work:
        assert work.subject == name.removesuffix("-3f2a9c41")


def test_every_phase_says_what_an_interrupt_leaves() -> None:
    """The error names what was under way and the command that goes on."""
    assert set(LEFT) == set(PHASES)
    error = describe_interrupt("up dev", [VERIFY])
    assert error.exit_code == 130
    assert error.facts == (f"verify web-3f2a9c41: {LEFT['verify']}",)
    assert "`./immutable up dev`" in error.todo
    assert "half-way" in describe_interrupt("up dev", []).facts[0]


# the reporter


def test_steps_that_matter_are_shown() -> None:
    """A made resource is one line; an unchanged one is none."""
    shown = Lines()
    reporter = Reporter(shown)
    for operation in ("same", "create", "read"):
        reporter.take(make_event("resourcePreEvent", operation, "Thing"))
        reporter.take(make_event("resOutputsEvent", operation, "Thing"))
    assert len(shown.lines) == 1
    assert " + Thing app made" in shown.lines[0]


def test_progress_is_shown_and_errors_are_kept_for_the_end() -> None:
    """What a provider prints is shown at once; an error once, at the end, without echoes."""
    shown = Lines()
    reporter = Reporter(shown)
    for severity, message in (
        ("info#err", "bake app: 12 of 30\n"),
        ("debug", "registering\n"),
        ("warning", "old\n"),
        ("error", f"Exception calling application: {WHOLE}"),
        ("error", f"Exception calling application: {WHOLE}"),
        ("error", "update failed"),
    ):
        reporter.take(make_diagnostic(severity, message))
    assert len(shown.lines) == 2
    assert shown.lines[0].endswith("bake app: 12 of 30")
    assert shown.lines[1].endswith("warning: old")
    expected = "2 checks failed.\n  web-0: assert False\nWhat to do: Look."
    assert reporter.render_errors() == [expected]


def test_events_of_kinds_not_known_are_passed_over() -> None:
    """A newer engine may say more."""
    shown = Lines()
    Reporter(shown).take({"sequence": 1, "somethingNewEvent": {}})
    assert shown.lines == []


def test_what_failed_and_what_still_ran_is_unfinished() -> None:
    """After an interrupt both are named; what ended well is not."""
    reporter = Reporter()
    for name in ("base", "app", "other"):
        reporter.take(make_event("resourcePreEvent", "create", name=name))
    reporter.take(make_event("resOutputsEvent", "create", name="base"))
    reporter.take(make_event("resOpFailedEvent", "create", name="app"))
    assert [work.subject for work in reporter.unfinished] == ["app", "other"]


def test_the_outputs_of_the_run_are_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The address comes from the stack's own event, so no further call of the CLI is needed."""
    service = {
        "address": "http://127.0.0.1:8080",
        "live": "3f2a9c41",
        "servers": 2.0,
        "images": {"app": "0123456789ab", "base": "ba9876543210"},
    }
    event = make_event("resOutputsEvent", "update", "pulumi:pulumi:Stack")
    event["resOutputsEvent"]["metadata"]["new"] = {"outputs": {"services": {"web": service}}}
    reporter = Reporter()
    reporter.take(event)
    reporter.take({"summaryEvent": {"resourceChanges": {"same": 3, "create": 2}}})
    done = make_outcome(reporter, 65)
    up.say_summary(done)
    up.show_services(done.services)
    said = capsys.readouterr()
    row = ("web", "http://127.0.0.1:8080", "3f2a9c41", "app 0123456789ab, base ba9876543210", "2")
    for cell in row:
        assert cell in said.out
    assert "Done in 1 min 5 s: 2 made, 3 unchanged" in said.err
    assert find_serving("the engine's unknown value") == ()


def test_what_is_forgotten_is_told_once() -> None:
    """After failed runs the state holds several old entries of an image, and of a release."""
    shown = Lines()
    reporter = Reporter(shown)
    for _ in range(3):
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            reporter.take(make_event(kind, "delete-replaced"))
            reporter.take(make_event(kind, "delete-replaced", "Release", "web"))
    assert len(shown.lines) == 2
    assert "Image app forgotten, it stays in the catalog" in shown.lines[0]
    assert "Release web deleted, as it was replaced" in shown.lines[1]


# how long it takes


def test_a_phase_takes_the_sum_of_its_services() -> None:
    """What waited between two verifications, and what ran twice at once, is not counted."""
    timeline = Timeline()
    for kind, name, at, end in (
        ("Verification", "web-3f2a9c41", 0, 14),
        ("Verification", "api-0f0f0f0f", 111, 186),
        ("LocalFleet", "web-3f2a9c41", 100, 110),
        ("Other", "web-3f2a9c41", 102, 112),
    ):
        metadata = make_event("resourcePreEvent", "create", kind, name, PARENTS)
        timeline.begin(metadata["resourcePreEvent"]["metadata"], at)
        timeline.end(metadata["resourcePreEvent"]["metadata"], end)
    assert timeline.find_seconds() == {"launch": 12, "verify": 14 + 75}
    assert timeline.find_phases() == {"launch": (100, 112), "verify": (0, 186)}


def write_run(root: Path, number: int, *events: dict[str, Any]) -> None:
    """Write the event log of an earlier update of dev."""
    folder = root / ".immutable" / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(event) for event in events]
    file = folder / f"run-20260101T00000{number}-1-up-dev.jsonl"
    file.write_text("\n".join([*lines, '{"cut of']))


def test_earlier_runs_say_how_long_work_takes(tmp_path: Path) -> None:
    """The median of what ended well, by image; what failed, was quick or never ended tells none."""
    assert find_expected(tmp_path, "dev") == {}
    for number, seconds in enumerate((40, 50, 90)):
        begin = {**make_event("resourcePreEvent", "create"), "timestamp": 1000}
        end = {**make_event("resOutputsEvent", "create"), "timestamp": 1000 + seconds}
        failed = make_event("resOpFailedEvent", "create", name="base")
        base = {**make_event("resourcePreEvent", "create", name="base"), "timestamp": 1000}
        write_run(tmp_path, number, begin, base, failed, end)
    assert find_expected(tmp_path, "dev") == {("bake", "app"): 50}


# in a terminal


class Terminal(Live):
    """Live rows, as a terminal of so many columns would show them."""

    def __init__(self, columns: int) -> None:
        super().__init__({VERIFY.key: 26, BAKE.key: 45})
        self.live.stop()
        self.out = io.StringIO()
        self.console = Console(file=self.out, width=columns, no_color=True)

    def show(self) -> list[str]:
        """Return the rows."""
        with self.console.capture() as captured:
            self.console.print(self.render())
        return captured.get().splitlines()


def test_a_row_tells_elapsed_and_expected_time_and_the_last_line() -> None:
    """Of Packer's lines the last one stands in the row; the end of a work is a line that stays."""
    terminal = Terminal(100)
    reporter = Reporter(terminal)
    reporter.take(make_event("resourcePreEvent", "create"))
    for line in ("apt is asked", "nginx is set up"):
        reporter.take(make_diagnostic("info#err", f"bake app-0123456789ab: {line}\n"))
    reporter.take(make_event("resourcePreEvent", "create", "Verification", VERIFY.name, PARENTS))
    (bake, verify) = terminal.show()
    row = r"\s+bake app  0 s of about 45 s  nginx is set up"
    assert re.fullmatch(row, bake.rstrip())
    assert "verify web  0 s of about 26 s" in verify
    reporter.take(make_event("resOutputsEvent", "create"))
    assert len(terminal.show()) == 1
    (line,) = terminal.out.getvalue().splitlines()
    assert line.endswith("+ Image app made (0 s): nginx is set up")


def test_a_narrow_terminal_cuts_only_the_last_line() -> None:
    """At 40 columns each row is one line with work, elapsed and expected time."""
    terminal = Terminal(40)
    terminal.begin(VERIFY)
    terminal.say_of(VERIFY, "verify web-3f2a9c41: web-3f2a9c41-0: test_the_whole_long_name passed")
    (row,) = terminal.show()
    assert len(row) <= 40
    assert row.startswith("     verify web  0 s of about 26 s")
    terminal.drop(VERIFY)
    assert terminal.show() == []
    assert "test_the_whole_long_name" in terminal.out.getvalue().replace("\n", "")


def test_what_takes_longer_than_before_says_so() -> None:
    """Both times are written alike, and what was not timed before names only its own."""
    shown = Lines({VERIFY.key: 26, BAKE.key: 65})
    assert shown.word_elapsed(VERIFY, 12) == "12 s of about 26 s"
    assert shown.word_elapsed(VERIFY, 65) == "1 min 5 s, longer than the 26 s before"
    assert shown.word_elapsed(BAKE, 3) == "3 s of about 1 min 5 s"
    assert shown.word_elapsed(Work("seal", "web", "web-3f2a9c41"), 3) == "3 s"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_leaves_no_style_in_a_row(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold is no colour to rich, and an escape all the same."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(100)
    terminal.console = Console(file=terminal.out, width=100, force_terminal=True)
    terminal.begin(VERIFY)
    (row,) = terminal.show()
    assert ("\x1b" in row) is (not no_color)


def test_a_line_that_stays_keeps_its_words_whole() -> None:
    """In a narrow terminal it goes on below, indented."""
    terminal = Terminal(40)
    terminal.line("  verify web-3f2a9c41: web-3f2a9c41-0: test_only_the_declared_ports failed")
    first, *rest = terminal.out.getvalue().splitlines()
    assert first.endswith("verify web-3f2a9c41:")
    assert [line[:10] for line in rest] == [" " * 10] * 3
    assert [line[10:] for line in rest] == [
        "web-3f2a9c41-0:",
        "test_only_the_declared_ports",
        "failed",
    ]


# in CI


@pytest.mark.parametrize(
    ("marks", "begin", "end"),
    [
        (GITHUB, r"::group::bake app \(about 45 s\)", "::endgroup::"),
        (
            GITLAB,
            r"\x1b\[0Ksection_start:\d+:immutable_1_bake\r\x1b\[0Kbake app \(about 45 s\)",
            r"\x1b\[0Ksection_end:\d+:immutable_1_bake\r\x1b\[0K",
        ),
    ],
)
def test_each_work_is_a_foldable_group(
    marks: Marks, begin: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A group is closed before the next one begins, and at the end."""
    groups = Groups({BAKE.key: 45}, marks)
    groups.begin(BAKE)
    groups.say_of(BAKE, "a line")
    groups.begin(BAKE)
    groups.begin(VERIFY)
    groups.close()
    groups.close()
    lines = capsys.readouterr().err.rstrip("\n").split("\n")
    first, told, closed, _, last = lines
    assert re.fullmatch(begin, first)
    assert told.endswith("a line")
    assert re.fullmatch(end, closed)
    assert "end" in last


def test_the_display_fits_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub and GitLab are told by their variables; without a terminal lines are plain."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    found = []
    for name in ("", "GITHUB_ACTIONS", "GITLAB_CI"):
        with monkeypatch.context() as patch:
            if name:
                patch.setenv(name, "true")
            with display.start_display({}) as shown:
                found.append(getattr(shown, "marks", None))
    assert found == [None, GITHUB, GITLAB]
