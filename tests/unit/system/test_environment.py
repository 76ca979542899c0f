"""What the programs that we start see of our environment."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers.system.environment import (
    make_daemon_environment,
    make_environment,
    make_setup_environment,
)

PACKAGE = ROOT / "components" / "immutable_servers"
STARTERS = {"run", "Popen", "call", "check_call", "check_output"}
SECRETS = (
    *("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "CI_JOB_TOKEN", "PULUMI_CONFIG_PASSPHRASE"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "DIGITALOCEAN_TOKEN", "VAULT_TOKEN", "NPM_TOKEN"),
)


@pytest.fixture(autouse=True)
def _user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a user with secrets in the environment."""
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("HOME", "/home/me")


def test_no_secret_is_handed_on() -> None:
    """Neither a daemon, nor a tool, nor an installer gets what its list does not name."""
    for made in (make_daemon_environment(), make_environment(), make_setup_environment()):
        assert not made.keys() & set(SECRETS)
        assert made["LC_ALL"] == "C.UTF-8"
        assert "PATH" in made


def test_a_daemon_gets_nothing_of_the_users() -> None:
    """It outlives the command, so it does not even know the user's folders."""
    assert "HOME" not in make_daemon_environment()
    assert make_environment()["HOME"] == "/home/me"


def test_what_is_named_is_handed_on() -> None:
    """A name stands for itself, and one with a star for all that start so."""
    made = make_environment("AWS_*", "GITHUB_TOKEN")
    assert made.keys() & set(SECRETS) == {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"}


def find_starts(file: Path) -> Iterator[ast.Call]:
    """Yield the calls of a module that start a process."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        module = node.func.value
        if (
            isinstance(module, ast.Name)
            and module.id == "subprocess"
            and node.func.attr in STARTERS
        ):
            yield node


def test_every_start_says_its_environment() -> None:
    """No process of ours gets all of our environment because nobody thought of it."""
    silent = [
        f"{file.relative_to(PACKAGE)}:{call.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for call in find_starts(file)
        if "env" not in {word.arg for word in call.keywords}
    ]
    # The supervisor starts its command with the environment that it has itself, which was made.
    assert [place.partition(":")[0] for place in silent] == ["system/supervisor.py"]
