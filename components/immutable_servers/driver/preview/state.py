"""Reads a stack's ledger without the engine, where its state is a file that can be read."""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.driver.environment import BACKEND, has_own_backend, state_dir
from immutable_servers.driver.project import read_project
from immutable_servers.driver.reporter import STACK_TYPE
from immutable_servers.ledger import OUTPUT

SCHEME = "file://"


def read_state_outputs(root: Path, stack: str) -> Mapping[str, Any] | None:
    """Return the stack's outputs as the state file holds them; None when they cannot be read.

    A state folder without the stack holds no outputs; without a state folder nothing is known.

    The layout is that of the engine's file backend:
    https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/store.go
    """
    folder = _find_state_dir(root)
    if folder is None:
        return None
    project = str(read_project(root).get("name", ""))
    file = folder / ".pulumi" / "stacks" / project / f"{stack}.json"
    try:
        if not file.exists() and not _pack(file).exists():
            return {} if (folder / ".pulumi").is_dir() else None
        state = json.loads(_read(file))
        resources = (state["checkpoint"].get("latest") or {}).get("resources") or []
        itself = [resource for resource in resources if resource["type"] == STACK_TYPE]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    outputs = itself[0].get("outputs") if itself else {}
    if not isinstance(outputs, Mapping) or not isinstance(outputs.get(OUTPUT, {}), Mapping):
        return None
    return outputs


def _find_state_dir(root: Path) -> Path | None:
    chosen = os.environ.get(BACKEND, "")
    if chosen.startswith(SCHEME):
        return Path(chosen.removeprefix(SCHEME).partition("?")[0]).expanduser()
    return state_dir(root) if has_own_backend(root) else None


def _read(file: Path) -> bytes:
    packed = _pack(file)
    return gzip.decompress(packed.read_bytes()) if packed.exists() else file.read_bytes()


def _pack(file: Path) -> Path:
    """Return the name of a state file that the engine has packed."""
    return file.with_name(f"{file.name}.gz")
