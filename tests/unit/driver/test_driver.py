"""The driver: its words, its exit codes, what it reads and what it prints."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from immutable_bench import bench, rings, table
from immutable_servers import errors
from immutable_servers.driver import cli
from immutable_servers.driver.commands import up, update
from immutable_servers.driver.engine import environment, run
from immutable_servers.driver.engine.errors import clean, find_error, find_exit_code
from immutable_servers.driver.engine.locks import clear_stale_locks
from immutable_servers.driver.engine.stack import Stack, load_stack
from immutable_servers.driver.project.files import ROOT_VARIABLE, list_stacks, read_values
from immutable_servers.driver.setup import debian
from immutable_servers.driver.terminal import console
from immutable_servers.errors import BusyError, SettingsError, VerificationError
from immutable_servers.targets.local.needs import MMDEBSTRAP

WHOLE = VerificationError("2 checks failed", facts=["web-0: assert False"], todo="Look.")


CONTRADICTION = """error: The Pulumi CLI encountered a snapshot integrity error. This is a bug!
Error:      getting stack configuration: snapshot integrity failure; refusing to use it: resource
Stack Trace:
goroutine 1 [running]:
"""
UNREACHABLE = """Logging in using access token from PULUMI_ACCESS_TOKEN
error: performing HTTP request: Get "http://127.0.0.1:9/api/user": connect: connection refused
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two stacks, for a user who is not logged in."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    for name in ("dev", "prod"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config:\n  shop:target: local\n")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("PULUMI_"):
            monkeypatch.delenv(name)
    return tmp_path


# words and exit codes


def test_update_sets_up_first_what_it_looks_with(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh machine, such as the weekly job's, has no mmdebstrap yet; a no ends it there."""
    for folder in ("packer/base", "tests/servers"):
        (project / folder).mkdir(parents=True)
    web = {"image": "base", "servers": 1, "port": 80, "route": {"port": 8080}}
    values = {"target": "local", "images": {"base": {}}, "services": {"web": web}}
    config = {f"shop:{key}": value for key, value in values.items()}
    (project / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))
    missing = replace(debian.make_part(MMDEBSTRAP), find=lambda: None)
    monkeypatch.setattr(update, "list_upstream_parts", lambda _target: [missing])
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert cli.run(["update"]) == 3
    assert "mmdebstrap: sudo apt-get install mmdebstrap" in capsys.readouterr().err


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


@pytest.mark.parametrize("columns", [40, 120])
def test_a_narrow_terminal_gets_lines_instead_of_a_table(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 40 columns every cell can be read and copied as a whole; a wide terminal has a table."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    row = ("web", "http://127.0.0.1:8080", "app 0123456789ab, base 9876543210")
    console.show_table("", ("service", "address", "images"), [row], out)
    narrow = "web\n  address: http://127.0.0.1:8080\n  images: app 0123456789ab, base 9876543210\n"
    assert (out.getvalue() == narrow) is (columns == 40)
    assert all(cell in out.getvalue() for cell in row)


# errors as the engine passes them on


@pytest.mark.parametrize(
    "text",
    [
        str(WHOLE),
        f"Exception calling application: {WHOLE}",
        f"<{{%reset%}}>error: Exception calling application: {WHOLE}\n<{{%reset%}}>",
        f"immutable_servers.errors.{WHOLE}",
        (
            "pulumi-python:dynamic/immutable-servers:Image resource 'app': property image value"
            f" {{app}} has a problem: {WHOLE}"
        ),
    ],
)
def test_our_error_is_found_in_what_the_engine_says(text: str) -> None:
    """Class and three parts come back, whatever the engine and gRPC put before them."""
    found = find_error(text)
    assert isinstance(found, VerificationError)
    assert (found.what, found.facts, found.todo) == (WHOLE.what, WHOLE.facts, WHOLE.todo)
    assert console.render_error(found).startswith("2 checks failed.")


def test_every_branch_of_the_tree_gives_its_code() -> None:
    """A message of each class gives the code that the reference documents."""
    for name, code in errors.EXIT_CODES.items():
        assert find_exit_code([f"{name}: What failed."]) == code
    assert find_exit_code(["ValueError: not ours", str(WHOLE)]) == 6
    assert find_exit_code(["something else"]) == 1


def test_a_locked_stack_says_who_holds_it_since_when_and_how_to_go_on() -> None:
    """The engine's word for a second run becomes the error with exit code 10."""
    here = socket.gethostname()
    ended = subprocess.Popen(["true"])
    ended.wait()
    words, pipe = ["pulumi-of-a-test", "-c", "echo; read -r never"], subprocess.PIPE
    with subprocess.Popen(words, executable="/bin/sh", stdin=pipe, stdout=pipe) as runs:
        assert runs.stdout
        runs.stdout.readline()  # before that its words are not to be seen
        for holder, fact, todo in (
            (f"me@{here} (pid {runs.pid})", "; that process still runs", "Wait for it to end."),
            (f"me@{here} (pid {ended.pid})", "; that process does not run any more", "Nobody"),
            ("me@elsewhere (pid 12)", ", on another machine", "Wait for it to end."),
        ):
            found = find_error(
                "error: the stack is currently locked by 1 lock(s). Either wait for the other"
                " process(es) to end or delete the lock file with `pulumi cancel`.\n"
                f"  file:///state/lock.json: created by {holder} at 2026-01-01T00:00:00Z"
            )
            assert isinstance(found, BusyError)
            assert found.facts == (f"Held by {holder} since 2026-01-01T00:00:00Z{fact}",)
            assert found.todo.startswith(todo)
            assert "`pulumi cancel --stack STACK`" in found.todo


@pytest.mark.parametrize(
    ("told", "kind", "hint"),
    [
        (
            CONTRADICTION,
            errors.LedgerError,
            "pulumi state repair",
        ),
        (
            "error: failed to load checkpoint: place 1: unexpected end of JSON input",
            errors.LedgerError,
            "backups",
        ),
        (
            "error: failed to load checkpoint: EOF",
            errors.LedgerError,
            "metadata=skip",
        ),
        (
            UNREACHABLE,
            errors.LedgerError,
            "PULUMI_BACKEND_URL",
        ),
        (
            'error: unable to open state database "postgres://me:hunter2@127.0.0.1:9/x": refused',
            errors.LedgerError,
            "PULUMI_BACKEND_URL",
        ),
        (
            "error: failed to save snapshot: write /x/dev.json: no space left on device",
            errors.ImmutableError,
            "Free some space",
        ),
        ("error: error reading from server: EOF", errors.ImmutableError, "want of memory"),
        (
            "error: getting secrets manager: incorrect passphrase",
            SettingsError,
            "PULUMI_CONFIG_PASSPHRASE",
        ),
    ],
)
def test_trouble_with_the_state_names_the_way_out(
    told: str, kind: type[errors.ImmutableError], hint: str
) -> None:
    """A broken state, an unreachable backend and a wrong passphrase are one fact and a way out."""
    found = find_error(told)
    assert type(found) is kind
    assert found
    assert hint in found.todo
    assert len(found.facts) == 1
    assert "hunter2" not in str(found)
    assert "goroutine" not in str(found)


def test_colours_are_taken_off() -> None:
    """Neither the engine's marks nor a terminal's are shown."""
    assert clean("<{%fg 1%}>\x1b[31mred\x1b[0m<{%reset%}>") == "red"
    assert clean("\x1b[0;1;38:5:185mapp.service failed\x1b[0m") == "app.service failed"


# settings, state and environment


def test_the_values_of_a_stack_lose_their_namespace(project: Path) -> None:
    """The namespace is the project's name, whatever the user called it; others are not ours."""
    text = "config:\n  shop:target: local\n  aws:region: eu\n  services: {web: {}}\n"
    (project / "Pulumi.dev.yaml").write_text(text)
    assert read_values(project, "dev") == {"target": "local", "services": {"web": {}}}


def test_a_stack_file_that_is_no_yaml_is_a_settings_error(project: Path) -> None:
    """A user's slip shows the line, not a traceback."""
    (project / "Pulumi.dev.yaml").write_text("config: [")
    with pytest.raises(SettingsError, match="line 1"):
        read_values(project, "dev")


def test_without_a_login_state_is_in_the_project(project: Path) -> None:
    """A file backend, and a passphrase that only this user reads and that stays the same."""
    made = environment.compute_environment(project)
    assert made["PULUMI_BACKEND_URL"] == f"file://{project}/.immutable/state?metadata=skip"
    file = Path(made["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    word = file.read_text()
    assert len(word) > 30
    environment.compute_environment(project)
    assert file.read_text() == word
    assert [entry.name for entry in file.parent.iterdir() if "passphrase" in entry.name] == [
        "passphrase"
    ]


def test_the_user_s_own_backend_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL, a token, a login, or a backend in Pulumi.yaml: then nothing of ours is set."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert "PULUMI_BACKEND_URL" not in environment.compute_environment(project)
    for options in ("", "?metadata=skip"):
        monkeypatch.setenv(
            "PULUMI_BACKEND_URL", f"file://{environment.state_dir(project)}{options}"
        )
        assert environment.has_own_backend(project)
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-x")
    assert not environment.has_own_backend(project)
    monkeypatch.delenv("PULUMI_ACCESS_TOKEN")
    login = project / "home" / ".pulumi" / "credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps({"current": "https://api.example.com"}))
    made = environment.compute_environment(project)
    assert "PULUMI_BACKEND_URL" not in made
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in made
    assert not (project / ".immutable").exists()
    login.unlink()
    (project / "Pulumi.yaml").write_text("name: shop\nbackend: {url: 's3://states'}\n")
    assert not environment.has_own_backend(project)


def test_the_user_s_own_passphrase_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made where one is set."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment.compute_environment(project)
    assert not (project / ".immutable" / "passphrase").exists()


def test_env_is_read_by_a_shell(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`eval "$(./immutable env)"` sets every variable, blanks and quotes in paths included."""
    assert cli.run(["env"]) == 0
    exports = capsys.readouterr().out
    shell = f'{exports}\nprintf %s "$PULUMI_BACKEND_URL"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == f"file://{project}/.immutable/state?metadata=skip"
    quoted = environment.render_exports({"ODD": 'it\'s a "path"'})
    shell = f'{quoted}\nprintf %s "$ODD"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == 'it\'s a "path"'


def test_the_cli_gets_a_stack_file_without_salt_unless_it_holds_secrets(project: Path) -> None:
    """A salt belongs to one passphrase; a secret needs the one that it was made with."""
    file = project / "Pulumi.dev.yaml"
    file.write_text("config:\n  shop:target: local\nencryptionsalt: v1:abc\n")
    words = load_stack(project, "dev").render_command(["up"], config=True)
    copy = Path(words[words.index("--config-file") + 1])
    assert copy.read_text() == "config:\n  shop:target: local\n"
    file.write_text("config:\n  shop:word:\n    secure: v1:xyz\nencryptionsalt: v1:abc\n")
    words = load_stack(project, "dev").render_command(["up"], config=True)
    assert "--config-file" not in words


def test_only_a_dead_run_s_lock_is_taken_away(project: Path) -> None:
    """A lock of a process that is gone goes; one of another host or of a live engine stays."""
    folder = environment.state_dir(project) / ".pulumi/locks/organization/shop/dev"
    folder.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    alive = subprocess.Popen(
        ["sh", "-c", "echo ready; read _; : pulumi"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert alive.stdout
    alive.stdout.readline()
    here = os.uname().nodename
    for name, pid, host in (
        ("dead", gone.pid, here),
        ("elsewhere", gone.pid, "another-host"),
        ("alive", alive.pid, here),
    ):
        (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "hostname": host}))
    (folder / "strange.json").write_text("{}")
    clear_stale_locks(Stack(project, "dev", {}, own=True))
    left = {file.name for file in folder.iterdir()}
    alive.communicate(b"")
    assert left == {"elsewhere.json", "alive.json", "strange.json"}


# test and bench


def write_ring(root: Path, ring: str, text: str) -> None:
    """Write a ring with one file."""
    folder = root / "tests" / ring
    folder.mkdir(parents=True)
    (folder / f"test_{ring}.py").write_text(text)


def test_a_ring_gives_its_sums(project: Path) -> None:
    """Passed, failed and skipped come from pytest's own report."""
    text = """
import pytest
def test_one(): pass
def test_two(): assert False
def test_three(): pytest.skip("later")
@pytest.mark.xfail(strict=True)
def test_four(): assert False
"""
    write_ring(project, "mixed", text)
    result = rings.run_ring(project, "mixed", ["-q", "-p", "no:cacheprovider"], os.environ)
    assert (result.passed, result.failed, result.skipped) == (1, 1, 2)


def test_a_ring_that_runs_nothing_has_failed(project: Path) -> None:
    """A missing folder, and one without tests, are failures and not a pass."""
    missing = rings.run_ring(project, "missing", [], os.environ)
    assert (missing.passed, missing.failed, missing.note) == (0, 1, "the folder is missing")
    write_ring(project, "empty", "")
    empty = rings.run_ring(project, "empty", ["-q"], os.environ)
    assert (empty.passed, empty.failed) == (0, 1)
    assert empty.note


def test_fast_takes_the_core_of_the_engine_and_machines_are_not_shared() -> None:
    """`--fast` chooses the core of tests/engine and all of others; what boots runs alone."""
    assert "core" in rings.render_choice("engine", fast=True)
    assert "core" not in rings.render_choice("engine", fast=False)
    assert "core" not in rings.render_choice("unit", fast=True)
    assert rings.render_choice("local", fast=False) == []


def test_what_a_linter_prints_is_shown_in_one_piece(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A linter runs beside the tests: its words come together, and its failure counts."""
    words = ("-c", "print('one'); print('two'); raise SystemExit(1)")
    result = rings._run_linter(project, "toy", words, os.environ)
    assert (result.passed, result.failed) == (0, 1)
    assert "== toy\none\ntwo\n" in capsys.readouterr().err


def test_the_last_line_holds_the_sums_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader, or a program, finds the sums on a line of their own."""
    good = [
        rings.Result("mypy", 1, 0, 0, 1.0),
        rings.Result("tests/unit", 10, 0, 1, 1.0),
        rings.Result("tests/engine", 5, 0, 0, 70.0),
    ]
    assert rings.summarize(good) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "15 passed, 0 failed, 1 skipped"
    assert rings.summarize([*good, rings.Result("ruff check", 0, 1, 0, 1.0)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "15 passed, 1 failed, 1 skipped"


def test_bench_measures_what_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--only` runs one; an unknown name shows those there are."""
    monkeypatch.setattr(table, "MEASUREMENTS", {})
    monkeypatch.setattr(bench, "install_missing", lambda _parts, *, yes: yes)

    @table.measurement("quick", "under 1 s")
    def measure(_place: table.Place) -> table.Measured:
        return table.Measured(f"{time.monotonic() * 0:.0f} s", good=True)

    assert measure(table.Place(project, "dev")).good
    assert bench.run_bench(project, "dev", only="quick", yes=True) == 0
    shown = capsys.readouterr().out
    assert "under 1 s" in shown
    assert "yes" in shown
    with pytest.raises(SettingsError, match="Did you mean quick"):
        bench.run_bench(project, "dev", only="quik", yes=True)


def test_previews_push_no_update_out_of_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each command on each stack the newest runs are kept, with what the engine said beside."""
    monkeypatch.setattr(run, "KEPT_RUNS", 2)
    folder = tmp_path / ".immutable" / "logs"
    folder.mkdir(parents=True)
    runs = ("1-1-up-dev", "2-1-preview-dev", "3-1-preview-dev", "4-1-preview-dev", "5-1-up-prod")
    for each in runs:
        for end in ("jsonl", "txt"):
            (folder / f"run-{each}.{end}").touch()
    log = run.make_log(tmp_path, "preview", "dev")
    assert log.parent == folder
    assert log.name.endswith("-preview-dev.jsonl")
    kept = {f"run-{each}.{end}" for each in runs for end in ("jsonl", "txt")}
    assert {file.name for file in folder.iterdir()} == kept - {
        "run-2-1-preview-dev.jsonl",
        "run-2-1-preview-dev.txt",
    }
    monkeypatch.setattr(run, "KEPT_IN_ALL", 1)
    run.make_log(tmp_path, "up", "dev")
    assert [file.name for file in folder.glob("*.jsonl")] == ["run-5-1-up-prod.jsonl"]
