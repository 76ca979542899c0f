"""Runs short tools that are on the PATH."""

import errno
import subprocess

from immutable_servers.errors import LaunchError, SetupError
from immutable_servers.system.files import find_full_disk, is_disk_full

TOOL_SECONDS = 60.0


def run_tool(command: list[str], failure: str) -> str:
    """Run a tool to its end and return what it printed; nothing of ours stays open in it.

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
