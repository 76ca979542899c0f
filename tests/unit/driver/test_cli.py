"""The driver's words and exit codes, before a command does anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from immutable_servers.driver import cli
from immutable_servers.driver.commands import up
from immutable_servers.driver.project.files import list_stacks


def test_a_flag_that_would_be_passed_over_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`preview --diff` neither writes files nor tells changes apart, so it does not take them."""
    assert project
    for flags in (["--exit-code"], ["--json", "-"], ["--markdown", "x"], ["--all"], ["--offline"]):
        assert cli.run(["preview", "--diff", *flags]) == 2
        assert "goes with no other flag" in capsys.readouterr().err


def test_a_word_that_may_be_left_out_stands_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    """Once: `[STACK]`."""
    assert cli.run(["rollback", "--help"]) == 0
    assert capsys.readouterr().out.startswith(
        "Usage: immutable rollback [OPTIONS] [STACK] [SERVICE]\n"
    )


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """They are no command, so the exit code says so; nothing is called an error."""
    assert cli.run([]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("Usage: immutable ")
    assert said.err == ""


def test_a_wide_terminal_s_help_cuts_no_command_s_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a narrow one makes them shorter."""
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.run(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the README are those of `--help`."""
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in [
        "up",
        "preview",
        "destroy",
        "status",
        "doctor",
        "env",
        "bench",
        "test",
        "update",
    ]:
        assert f"  {command} " in shown
    assert "  update " in shown


def test_help_imports_neither_pulumi_nor_pydantic() -> None:
    """`--help` is quick because each command imports what it needs when it runs."""
    program = """
import sys
from immutable_servers.driver import cli
cli.run(["--help"])
print({"pulumi", "pydantic", "yaml", "grpc"} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize(
    ("words", "hint", "help_of"),
    [
        (["up", "--nope"], "No such option: --nope", "./immutable up --help"),
        (["launch"], "No such command 'launch'", "./immutable --help"),
        (["--yes", "up", "one", "two"], "unexpected extra argument", "./immutable up --help"),
        (["rollback"], "Missing option '--why'", "./immutable rollback --help"),
    ],
)
def test_a_wrong_word_is_named(
    capsys: pytest.CaptureFixture[str], words: list[str], hint: str, help_of: str
) -> None:
    """A wrong flag or command ends with 2 and what to do, without a traceback."""
    assert cli.run(words) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert f"What to do: see `{help_of}`." in said


def test_an_unknown_stack_is_refused_with_those_there_are(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest name is proposed, and nothing is run."""
    assert list_stacks(project) == ["dev", "prod"]
    assert cli.run(["up", "prd"]) == 2
    said = capsys.readouterr().err
    assert "There is no stack 'prd'." in said
    assert "dev, prod" in said
    assert "Did you mean prod?" in said
    assert "SettingsError" not in said


def test_an_unexpected_failure_is_one_line_and_a_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The traceback goes to a log, which is named."""

    def break_down(*_words: object, **_options: object) -> int:
        raise RuntimeError("a bug\nwith more lines")

    monkeypatch.setattr(up, "run_up", break_down)
    assert cli.run(["up"]) == 1
    said = capsys.readouterr().err
    assert "RuntimeError: a bug\n" in said
    assert "Traceback" not in said
    (log,) = (project / ".immutable" / "logs").glob("crash-*")
    assert "Traceback" in log.read_text()
    assert str(log) in said


def test_a_closed_pipe_is_quiet(project: Path) -> None:
    """A reader that had enough, such as head, causes no complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "immutable_servers.driver", "--help"],
        cwd=project,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""
