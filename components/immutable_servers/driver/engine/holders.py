"""Describes who holds a stack, from the user, machine, process and time in the engine's lock."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from immutable_servers.driver.engine.stop_lock import is_stopping
from immutable_servers.system import stopping

HOLDER = re.compile(r"created by (?P<who>\S+)@(?P<host>[^\s@]+) \(pid (?P<pid>\d+)\) at (?P<at>.+)")
"""As the engine writes it:
https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/lock.go
"""


GONE = "that process does not run any more"
CANCEL = '`eval "$(./immutable env)"`, then `pulumi cancel --stack STACK`'


def find_holders(text: str) -> list[str]:
    """Return one line for each holder in the engine's message."""
    return [
        _describe(found) if (found := HOLDER.search(line)) else line.strip()
        for line in text.splitlines()
        if "created by" in line
    ]


def advise(holders: Sequence[str]) -> str:
    """Return how to go on, by the lines on the holders."""
    if holders and all(line.endswith(GONE) for line in holders):
        return f"Nobody holds it any more. To remove the lock, type {CANCEL}."
    return (
        "Wait for it to end, or have `--wait 10m` do so. When you know that it was killed, type"
        f" {CANCEL}."
    )


def _describe(found: "re.Match[str]") -> str:
    who = f"Held by {found['who']}@{found['host']} (pid {found['pid']}) since {found['at']}"
    if not is_here(found):
        return f"{who}, on another machine"
    return f"{who}; {'that process still runs' if is_pulumi(int(found['pid'])) else GONE}"


def is_ending(found: "re.Match[str]") -> bool:
    """Return whether a holder is here and ends soon: its run was stopped, or its driver is gone."""
    if not is_here(found):
        return False
    try:
        environ = Path("/proc", found["pid"], "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    name = f"{stopping.VARIABLE}=".encode()
    locks = [Path(os.fsdecode(one.removeprefix(name))) for one in environ if one.startswith(name)]
    return any(map(is_stopping, locks))


def is_here(found: "re.Match[str]") -> bool:
    """Return whether a holder is or was a process of this machine."""
    return found["host"] == socket.gethostname()


def is_gone(found: "re.Match[str]") -> bool:
    """Return whether a holder was a process of this machine that has ended."""
    return is_here(found) and not is_pulumi(int(found["pid"]))


def is_pulumi(pid: int) -> bool:
    """Return whether the process of a lock may run; its number may be another process's now."""
    try:
        os.kill(pid, 0)
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:  # another user's process, or no /proc: it may be the lock's
        return True
