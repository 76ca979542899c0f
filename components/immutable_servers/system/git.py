"""Asks git. Its answers are bytes, as names of files are."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from immutable_servers.errors import SetupError
from immutable_servers.system.environment import make_environment

VARIABLES = (
    *("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
    *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_*", "GIT_CONFIG_VALUE_*", "SUDO_UID"),
)
"""Where git's settings are, and who called sudo. `GIT_DIR` and its like, which a hook is given, are
not ours."""
SAME_EVERYWHERE = (
    *("-c", "core.excludesFile=/dev/null", "-c", "core.ignoreCase=false"),
    *("-c", "core.autocrlf=false", "-c", "core.eol=lf"),
    *("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"),
)
"""Settings of one machine that have no part in an answer."""


def run_git(
    folder: Path, *words: str | bytes, given: bytes = b"", places: Mapping[str, Path] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, in a language and with settings that are the same everywhere.

    Args:
        folder: Where it runs.
        words: Its arguments.
        given: Its standard input.
        places: Variables such as `GIT_DIR`, for another repository than the folder's.

    Raises:
        SetupError: There is no git.
    """
    named = {name: str(place) for name, place in (places or {}).items()}
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", *SAME_EVERYWHERE, *words],
            cwd=folder,
            env={**make_environment(*VARIABLES), "LC_ALL": "C", "LANGUAGE": "", **named},
            input=given,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(
            "The command `git` could not be started",
            facts=[f"{error.filename}: {error.strerror}", "git says which files count."],
            todo="Install it, on Debian with `sudo apt-get install git`, and run again.",
        ) from error


def read_commit(folder: Path) -> str:
    """Return the commit that is checked out: empty outside of git, or before the first one."""
    return os.fsdecode(run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip())
