"""What tests start ends with them."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells descendants")
DAEMON = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
"""
WAIT = "import signal; signal.pause()\n"
GO = "os._exit(7)\n"
CLEANS_UP = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print(flush=True)
signal.sigwait([signal.SIGINT])
print("cleans up", flush=True)
print("interrupted" if signal.sigtimedwait([signal.SIGINT], 2) else "cleaned up", flush=True)
"""
WRAPPED = [sys.executable, "-m", "immutable_bench.leave_nothing", sys.executable, "-c"]


@contextmanager
def start(*words: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Yield a process and pidfds of what it started: a command, and a daemon of that."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(word) for word in process.stdout.readline().split()]
        pidfds = []
        for pid in pids:
            with suppress(ProcessLookupError):
                pidfds.append(os.pidfd_open(pid))
        try:
            yield process, pidfds
        finally:
            process.kill()
            for pidfd in pidfds:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)


def assert_gone(pidfds: list[int]) -> None:
    """Wait until each of the processes has ended."""
    assert all(select.select([pidfd], [], [], 60)[0] for pidfd in pidfds), "a process was left"


def test_what_a_command_leaves_is_ended_and_its_code_is_kept() -> None:
    """A daemon goes when the command ends by itself, and the exit code is the command's."""
    with start(*WRAPPED, DAEMON + GO) as (process, pidfds):
        assert process.wait(60) == 7
        assert_gone(pidfds)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_leaves_nothing(number: signal.Signals) -> None:
    """As by `timeout`, or by a terminal that closes."""
    with start(*WRAPPED, DAEMON + WAIT) as (process, pidfds):
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert_gone(pidfds)


def test_a_run_whose_parent_is_killed_leaves_nothing() -> None:
    """The command that tests are started with may be killed: they end too."""
    parent = f"import subprocess; subprocess.run({[*WRAPPED, DAEMON + WAIT]!r})"
    with start(sys.executable, "-c", parent) as (process, pidfds):
        process.kill()
        assert_gone(pidfds)


def test_a_command_that_was_interrupted_cleans_up_undisturbed() -> None:
    """A terminal's Ctrl-C reaches all of the group; the end of the parent adds no second one."""
    with subprocess.Popen(
        [*WRAPPED, CLEANS_UP], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "cleans up\n"
        process.terminate()
        assert process.stdout.readline() == "cleaned up\n"
