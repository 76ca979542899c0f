"""Reads a stack's outputs: from its state file where there is one, else from the engine."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.contract.ownership import FILES
from immutable_servers.driver.engine.environment import has_own_backend, state_dir
from immutable_servers.driver.engine.errors import find_error
from immutable_servers.driver.engine.reporter import STACK_TYPE
from immutable_servers.driver.engine.stack import MISSING, Stack
from immutable_servers.driver.project.files import read_project_name
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.reader import OUTPUT
from immutable_servers.state.backend import (
    BACKEND,
    find_file_folder,
    find_state_file,
    read_resources,
)

VERIFICATION = ":Verification"
"""How the type of a generation's verdict ends."""


def read_state_outputs(root: Path, stack: str) -> Mapping[str, Any] | None:
    """Return the outputs in the stack's state file; None when they cannot be read.

    Empty where the state folder does not hold the stack; None where there is no state folder.
    """
    folder = find_state_dir(root)
    return read_file_outputs(folder, read_project_name(root), stack) if folder else None


def read_file_outputs(folder: Path, project: str, stack: str) -> Mapping[str, Any] | None:
    """Return the outputs of a stack in a file backend's folder, as `read_state_outputs` does."""
    try:
        file = find_state_file(folder, project, stack)
        if file is None:
            return {} if (folder / ".pulumi").is_dir() else None
        itself = [one for one in read_resources(file) if one.get("type") == STACK_TYPE]
    except (OSError, ValueError):
        return None
    outputs = itself[0].get("outputs") if itself else {}
    if not isinstance(outputs, Mapping) or not isinstance(outputs.get(OUTPUT, {}), Mapping):
        return None
    return outputs


def read_state_verdicts(root: Path, stack: str) -> Mapping[str, Mapping[str, str]]:
    """Return when and how each generation passed its checks, by its name, from the state file.

    A run that ends before traffic moves leaves it in no ledger. Empty where there is no such file.
    """
    folder = find_state_dir(root)
    try:
        file = find_state_file(folder, read_project_name(root), stack) if folder else None
        found = read_resources(file) if file else []
        return {
            str(one["urn"]).rpartition("::")[2]: dict(one["outputs"]["verified"])
            for one in found
            if str(one.get("type")).endswith(VERIFICATION) and one["outputs"].get("verified")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def find_state_dir(root: Path) -> Path | None:
    """Return the folder of a state in files; None for another backend."""
    chosen = os.environ.get(BACKEND, "")
    if chosen.startswith(FILES):
        return find_file_folder(chosen, root)
    return state_dir(root) if has_own_backend(root) else None


def read_outputs(stack: Stack) -> Mapping[str, Any]:
    """Ask the engine for the outputs of the stack's last run; empty before the first.

    Raises:
        ImmutableError: The backend could not be read.
    """
    done = stack.read("stack", "output", "--json")
    if done.returncode and MISSING in done.stderr:
        return {}
    if done.returncode:
        raise find_error(done.stderr) or ImmutableError(
            f"The outputs of {stack.name} could not be read", facts=done.stderr.splitlines()
        )
    read = json.loads(done.stdout or "{}")
    return read if isinstance(read, dict) else {}
