"""Short tools: what is said when one fails."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from immutable_servers.errors import ImmutableError, LaunchError, SetupError, StoppedError
from immutable_servers.system import stopping
from immutable_servers.system.environment import make_daemon_environment, make_environment
from immutable_servers.system.tools import run_stoppable, run_tool


@pytest.fixture
def _goes_on() -> Iterator[None]:
    """Forget the stop when the test is over."""
    yield
    stopping.STOP.clear()


def test_a_tool_that_fails_says_why() -> None:
    """Its own words are the facts; a missing one has its package named by doctor."""
    with pytest.raises(LaunchError, match="It did not start") as failed:
        run_tool(["sh", "-c", "echo no >&2; exit 1"], "It did not start")
    assert failed.value.facts == ("no",)
    with pytest.raises(SetupError, match="no-such-tool is missing"):
        run_tool(["no-such-tool"], "It did not start")


def test_a_tool_that_fails_on_a_full_disk_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU only says that it could not write its pid file."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    with pytest.raises(ImmutableError, match="The disk is full") as full:
        run_tool(["false"], "It did not start")
    assert "Free some space" in full.value.todo
    assert full.value.facts[0] == "It did not start"


def test_what_outlives_us_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase or a cloud's key of this run is nothing that a daemon keeps for its life."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "sample-passphrase")
    said = run_tool(["env"], "no environment", make_daemon_environment())
    assert said
    assert "PASSPHRASE" not in said


@pytest.mark.usefixtures("_goes_on")
def test_a_stop_kills_what_may_be_killed() -> None:
    """What it has started too, which holds its output open."""
    stopper = threading.Timer(0.2, stopping.stop)
    stopper.start()
    with pytest.raises(StoppedError, match="Copying was ended"):
        run_stoppable(["sh", "-c", "sleep 600 & exec sleep 600"], "copying", make_environment())
    with pytest.raises(StoppedError, match="Copying was ended"):
        run_stoppable(["true"], "copying", make_environment())


def test_what_takes_too_long_is_killed() -> None:
    """With what it has started; its answer, where it ends in time, is whole."""
    with pytest.raises(subprocess.TimeoutExpired):
        run_stoppable(["sh", "-c", "sleep 600; true"], "copying", make_environment(), seconds=0.2)
    done = run_stoppable(["sh", "-c", "echo out; echo said >&2; exit 3"], "", make_environment())
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "said\n")
