"""Takes away the file backend's locks of runs that were killed on this machine."""

import json
import socket
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.environment import state_dir
from immutable_servers.driver.holders import is_pulumi
from immutable_servers.driver.project import read_project
from immutable_servers.driver.stack import Stack

ORGANIZATION = "organization"
"""What a file backend calls the one organization that it has."""


def clear_stale_locks(stack: Stack) -> None:
    """Remove the locks of processes that do not run any more.

    A lock names host and process, as the engine writes it:
    https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/lock.go
    """
    project = str(read_project(stack.root).get("name", ""))
    locks = state_dir(stack.root) / ".pulumi" / "locks" / ORGANIZATION / project / stack.name
    for file in locks.glob("*.json"):
        if _is_stale(file):
            console.say("An earlier run was killed: its lock on the stack is taken away")
            file.unlink(missing_ok=True)
            file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)


def _is_stale(file: Path) -> bool:
    try:
        lock = json.loads(file.read_text())
        pid, host = int(lock["pid"]), lock["hostname"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return host == socket.gethostname() and not is_pulumi(pid)
