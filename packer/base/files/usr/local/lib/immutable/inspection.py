"""Remembers on the disk that somebody logged in to look at this server.

The key that people are given has this as its forced command (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
A server that remembers a login is never verified again.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import os
import time
from collections.abc import Mapping

import window

USED = "used"


def let_in(environment: Mapping[str, str]) -> None:
    """Note the login, then become the command that was asked for, or a login shell.

    Raises:
        OSError: It cannot be noted, so nobody gets in.
    """
    address = environment.get("SSH_CONNECTION", "").partition(" ")[0]
    _note(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {address}".strip())
    command = environment.get("SSH_ORIGINAL_COMMAND")
    shell = ["/bin/bash", "-c", command] if command else ["-bash"]
    os.execve("/bin/bash", shell, dict(environment))  # noqa: S606 - no other shell in between


def read_used() -> str:
    """Return a line for each login: its time, and the address that it came from."""
    try:
        return (window.MEMORY / USED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _note(line: str) -> None:
    window.MEMORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (window.MEMORY / USED).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())
