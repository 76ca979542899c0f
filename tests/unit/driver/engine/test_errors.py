"""Errors as the engine passes them on."""

import socket
import subprocess

import pytest

from immutable_servers import errors
from immutable_servers.driver.engine.errors import clean, find_error, find_exit_code
from immutable_servers.driver.terminal import console
from immutable_servers.errors import BusyError, SettingsError, VerificationError

WHOLE = VerificationError("2 checks failed", facts=["web-0: assert False"], todo="Look.")


CONTRADICTION = """error: The Pulumi CLI encountered a snapshot integrity error. This is a bug!
Error:      getting stack configuration: snapshot integrity failure; refusing to use it: resource
Stack Trace:
goroutine 1 [running]:
"""


UNREACHABLE = """Logging in using access token from PULUMI_ACCESS_TOKEN
error: performing HTTP request: Get "http://127.0.0.1:9/api/user": connect: connection refused
"""


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
            (f"me@{here} (pid {runs.pid})", "; that process still runs", "Wait for it to end,"),
            (f"me@{here} (pid {ended.pid})", "; that process does not run any more", "Nobody"),
            ("me@elsewhere (pid 12)", ", on another machine", "Wait for it to end,"),
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
        (
            "error: [Errno 7] Argument list too long: '/x/python3'",
            SettingsError,
            "make `env` smaller",
        ),
        ("error: error reading from server: EOF", errors.ImmutableError, "out-of-memory"),
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
