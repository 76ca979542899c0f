"""Removes stale file-backend locks left by killed runs on this machine."""

import json
import socket
from pathlib import Path

from immutable_servers.driver.engine.environment import state_dir
from immutable_servers.driver.engine.holders import is_pulumi
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.project.files import read_project_name
from immutable_servers.driver.terminal import console
from immutable_servers.state.backend import find_locks_dir


def clear_stale_locks(stack: Stack) -> None:
    """Remove the locks of processes that have ended; a lock names host and process."""
    project = read_project_name(stack.root)
    for file in find_locks_dir(state_dir(stack.root), project, stack.name).glob("*.json"):
        if is_stale(file):
            console.say("An earlier run was killed: its lock on the stack is removed")
            file.unlink(missing_ok=True)
            file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)


def is_stale(file: Path) -> bool:
    """Return whether a lock's process ran on this machine and has ended."""
    try:
        lock = json.loads(file.read_text())
        pid, host = int(lock["pid"]), lock["hostname"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return host == socket.gethostname() and not is_pulumi(pid)
