"""Says who holds a stack: the engine's lock names user, machine, process and time."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path

HOLDER = re.compile(r"created by (?P<who>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<at>.+)")
"""As the engine words it:
https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/lock.go
"""


GONE = "that process does not run any more"
CANCEL = '`eval "$(./immutable env)"`, then `pulumi cancel --stack STACK`'


def find_holders(text: str) -> list[str]:
    """Return one line for each holder that a refusal of the engine names."""
    return [
        _describe(found) if (found := HOLDER.search(line)) else line.strip()
        for line in text.splitlines()
        if "created by" in line
    ]


def advise(holders: Sequence[str]) -> str:
    """Return how to go on, from what was said of the holders."""
    if holders and all(line.endswith(GONE) for line in holders):
        return f"Nobody holds it any more. Take the lock away: type {CANCEL}."
    return f"Wait for it to end. When you know that it was killed, type {CANCEL}."


def _describe(found: "re.Match[str]") -> str:
    who = f"Held by {found['who']}@{found['host']} (pid {found['pid']}) since {found['at']}"
    if found["host"] != socket.gethostname():
        return f"{who}, on another machine"
    return f"{who}; {'that process still runs' if is_pulumi(int(found['pid'])) else GONE}"


def is_pulumi(pid: int) -> bool:
    """Tell whether a process runs that can be the lock's: a number may have been given again."""
    try:
        os.kill(pid, 0)
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process, or no /proc: it may be the lock's
        return True
