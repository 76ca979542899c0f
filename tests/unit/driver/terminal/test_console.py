"""What the console prints: in a narrow terminal, and of text that is nobody's command."""

import re
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from immutable_servers.contract.values import Scope
from immutable_servers.driver.commands.preview import command
from immutable_servers.driver.commands.preview.models import Problem
from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.groups import GITHUB, GITLAB, Groups, Marks
from immutable_servers.driver.terminal.live import Live
from immutable_servers.driver.terminal.plain import Plain
from immutable_servers.errors import ImmutableError
from immutable_servers.resources.progress import start_saying

ATTACK = (
    "\x1b]52;c;Y2F0\x07\x1b[2J\u202eone\r\n  ::add-mask::verified\n##[error]x\x9bsection_start:1:x"
)
VERIFY = Work("verify", "web\x1b[2J\n::error::x", "web-3f2a9c41")


def assert_harmless(text: str) -> None:
    """Refuse bytes that a terminal obeys, and lines that GitHub's runner obeys."""
    assert text
    assert not {*text} & {*map(chr, range(32)), "\x7f", "\x9b", "\u202e"} - {"\n", "\t"}
    for line in text.splitlines():
        assert not line.strip().startswith("::"), line
        assert "##[" not in line


@pytest.mark.parametrize("columns", [40, 120])
def test_a_narrow_terminal_gets_lines_instead_of_a_table(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 40 columns every word can be read and copied as a whole; a wide terminal has a table."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    row = ("web", "http://127.0.0.1:8080", "app 0123456789ab, base 9876543210")
    console.show_table("", ("service", "address", "images"), [row], out)
    narrow = (
        "web\n  address: http://127.0.0.1:8080\n  images: app 0123456789ab, base\n    9876543210\n"
    )
    assert (out.getvalue() == narrow) is (columns == 40)
    assert all(word in out.getvalue() for cell in row for word in cell.split())
    assert columns == 120 or max(map(len, out.getvalue().splitlines())) <= columns
    monkeypatch.setenv("NO_COLOR", "1")
    console.show_table("", ("service", "address", "images"), [row], bare := Terminal())
    assert "\x1b" not in bare.getvalue()


def test_no_way_out_obeys_what_a_server_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines, data, tables, questions, errors and progress are harmless, on GitHub's runner too."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(sys, "stdin", StringIO("no\n"))
    ways = (
        lambda: console.say(ATTACK),
        lambda: console.show(ATTACK),
        lambda: console.ask(ATTACK),
        lambda: console.say_error(ATTACK),
        lambda: console.fail(ImmutableError(ATTACK, facts=[ATTACK], todo=ATTACK)),
        lambda: console.show_table(ATTACK, ("name",), [(ATTACK,)]),
        lambda: Plain({}).say_of(None, ATTACK),
        lambda: start_saying("verify", Scope("shop", "dev", "web"))(ATTACK),
        lambda: command.write_data(command.STDOUT, command.render_json(make_problem_of(ATTACK))),
    )
    for way in ways:
        way()
        said = capsys.readouterr()
        assert_harmless(said.out + said.err)
    listened: list[str] = []
    with console.speaking_to(listened.append):
        console.say(ATTACK)
    assert_harmless("\n".join(listened))


def make_problem_of(text: str) -> Problem:
    """Return the data of an error that nothing has filtered."""
    return Problem(kind="ImmutableError", what=text, facts=(text,), exit_code=1)


def test_rows_in_a_terminal_obey_nothing_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich passes escapes of a text on; what is finished and what runs is filtered before it."""
    monkeypatch.setenv("TERM", "xterm")
    out = StringIO()
    live = Live({})
    live.close()
    live.console = Console(file=out, width=400, force_terminal=False, highlight=False)
    live.begin(VERIFY)
    live.say_of(VERIFY, f"verify web-3f2a9c41: {ATTACK}")
    live.console.print(live.render())
    live.drop(VERIFY)
    live.say_of(None, ATTACK)
    assert not {*out.getvalue()} & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}


@pytest.mark.parametrize("marks", [GITHUB, GITLAB])
def test_a_group_is_ours_and_its_title_is_data(
    marks: Marks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our own groups work while the lines in them are disarmed."""
    monkeypatch.setenv("GITHUB_ACTIONS" if marks is GITHUB else "GITLAB_CI", "true")
    groups = Groups({}, marks)
    groups.begin(VERIFY)
    groups.line(ATTACK)
    groups.close()
    begin, *lines, end = capsys.readouterr().err.rstrip("\n").split("\n")
    assert begin.endswith(r"verify web\x1b[2J ::error::x")
    assert ("group" if marks is GITHUB else "section_start:") in begin
    assert ("endgroup" if marks is GITHUB else "section_end:") in end
    if marks is GITHUB:
        assert_harmless("\n".join(lines))
    assert "section_start:1:x" not in "".join(lines) or marks is GITHUB


def test_nothing_else_of_the_package_prints() -> None:
    """What a reader sees leaves through the console, or as progress of a resource.

    Beside them only programs print that another one reads: the supervisor, a command that
    `before_traffic` runs, and those that write the schemas.
    """
    package = Path(console.__file__).parents[2]
    found = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"\bprint\(|std(out|err)\.write\(|\becho\(", file.read_text())
    }
    assert found == {
        "driver/terminal/console.py",
        "driver/terminal/live.py",
        "resources/progress.py",
        "system/supervisor.py",
        "verification/before_traffic.py",
    }
