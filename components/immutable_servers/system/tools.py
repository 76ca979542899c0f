"""Runs short tools that are on the PATH."""

import subprocess

from immutable_servers.errors import LaunchError, SetupError

TOOL_SECONDS = 60.0


def run_tool(command: list[str], failure: str) -> str:
    """Run a tool to its end and return what it printed; nothing of ours stays open in it.

    Raises:
        LaunchError: It failed; `failure` is the first line.
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
        raise LaunchError(
            failure,
            facts=[str(error.stderr or error).strip()],
            todo="Run the update again; ./immutable doctor says what is missing.",
        ) from error
    return done.stdout
