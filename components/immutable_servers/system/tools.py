"""Runs short tools that are on the PATH."""

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from immutable_servers.errors import LaunchError, SetupError
from immutable_servers.system import stopping
from immutable_servers.system.environment import make_environment
from immutable_servers.system.full_disk import find_full_disk, is_disk_full

TOOL_SECONDS = 60.0


def run_tool(command: list[str], failure: str, env: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return what it printed; nothing of ours stays open in it.

    Args:
        command: The tool and its arguments.
        failure: The first line of the error when it fails.
        env: Its whole environment; by default what any program of the user's needs.

    Raises:
        LaunchError: It failed; `failure` is the first line.
        ImmutableError: It failed on a full disk.
        SetupError: It is missing.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=True,
            start_new_session=True,
            cwd="/",
            env=make_environment() if env is None else env,
        )
    except FileNotFoundError as error:
        raise SetupError(
            f"{command[0]} is missing",
            facts=[failure],
            todo="Run ./immutable doctor: it names the Debian package.",
        ) from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        # A tool's own words seldom name the disk: QEMU only "failed to write pid file".
        full = find_full_disk(OSError(errno.ENOSPC, failure)) if is_disk_full() else None
        raise full or LaunchError(
            failure,
            facts=[str(error.stderr or error).strip()],
            todo="Run the update again; ./immutable doctor says what is missing.",
        ) from error
    return done.stdout


def run_stoppable(
    argv: Sequence[str],
    what: str,
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    seconds: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a tool that may be killed at any moment; a stop kills it with all that it started.

    Args:
        argv: The tool and its arguments.
        what: What a stopped run says was ended.
        env: Its whole environment.
        cwd: Where it runs.
        seconds: How long it may take.

    Raises:
        FileNotFoundError: It is missing.
        subprocess.TimeoutExpired: It took longer.
        StoppedError: This process was asked to stop.
    """
    stopping.raise_if_stopped(what)
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            with stopping.on_stop(partial(_kill_session, process), what):
                out, said = process.communicate(timeout=seconds)
        finally:
            _kill_session(process)
    if process.returncode < 0:
        stopping.raise_if_stopped(what)
    return subprocess.CompletedProcess(argv, process.returncode, out, said)


def _kill_session(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
