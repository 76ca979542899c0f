"""The driver's words and exit codes, before a command does anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

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


def test_two_kinds_of_data_do_not_share_stdout(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON behind a comment could be read by nobody."""
    assert project
    assert cli.run(["preview", "--json", "-", "--markdown", "-"]) == 2
    said = capsys.readouterr()
    assert "both mean stdout" in said.err
    assert said.out == ""


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


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "hint", "help_of"),
    [
        (["up", "--nope"], "No such option: --nope", "./immutable up --help"),
        (["launch"], "No such command 'launch'", "./immutable --help"),
        (["--yes", "up", "one", "two"], "unexpected extra argument", "./immutable up --help"),
        (["rollback"], "Missing option '--why'", "./immutable rollback --help"),
        (["help", "launch"], "No such command 'launch'", "./immutable --help"),
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


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`help` is `--help`, and `help up` is `up --help`."""
    for words in (["--help"], ["up", "--help"]):
        assert cli.run(words) == 0
        shown = capsys.readouterr().out
        assert cli.run(["help", *words[:-1]]) == 0
        assert capsys.readouterr().out == shown


STACKS = [
    (["up", "prod"], "prod", ""),
    (["up", "--stack", "prod"], "prod", ""),
    (["up", "--stack=prod", "prod"], "prod", ""),
    (["up"], "dev", ""),
    (["up", "Pulumi.prod.yaml"], "prod", ""),
    (["up", "./Pulumi.prod.yaml"], "prod", ""),
    (["verify", "--stack", "Pulumi.prod.yaml"], "prod", ""),
    (["retire", "prod", "web"], "prod", "web"),
    (["retire", "web", "--stack", "prod"], "prod", "web"),
    (["--yes", "retire", "--stack", "prod", "prod", "web"], "prod", "web"),
    (["destroy", "--stack", "prod", "--service", "web"], "prod", "web"),
]


@pytest.mark.parametrize(("words", "stack", "service"), STACKS)
def test_a_stack_is_named_by_its_place_its_option_or_its_file(
    project: Path, words: list[str], stack: str, service: str
) -> None:
    """All commands take all three, and beside `--stack` a lone word is the service."""
    assert project
    program = typer.main.get_command(cli.app)
    context = program.make_context("immutable", words)
    name, command, rest = program.resolve_command(  # type: ignore[attr-defined]
        context, [*context._protected_args, *context.args]
    )
    found = command.make_context(name, rest, parent=context).params
    assert (found["stack"], found.get("service", "")) == (stack, service)


@pytest.mark.parametrize(
    "words",
    [
        ["up", "dev", "--stack", "prod"],
        ["retire", "dev", "--stack", "prod"],
        ["retire", "other", "web", "--stack", "prod"],
    ],
)
def test_two_stacks_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Nothing is run on either."""
    assert project
    assert cli.run(words) == 2
    assert f"Two stacks are named: {words[1]} by its place, and prod by --stack." in (
        capsys.readouterr().err
    )


def test_a_wrong_stack_is_told_before_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi's own full name of a stack is told by what is known of its last part."""
    assert project
    assert cli.run(["rollback", "web"]) == 2
    assert "There is no stack 'web'." in capsys.readouterr().err
    assert cli.run(["up", "org/load/dev"]) == 2
    said = capsys.readouterr().err
    assert "There is no stack 'org/load/dev'." in said
    assert "Did you mean dev?" in said
    assert "Pulumi.org" not in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(project: Path, closed: str) -> None:
    """A job that closes a stream gets the same exit code, and no traceback."""
    for words, code in (("--help", 0), ("up nope", 2)):
        command = f"{sys.executable} -m immutable_servers.driver {words} {closed}"
        done = subprocess.run(
            ["sh", "-c", command], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert "Error" not in done.stderr


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
