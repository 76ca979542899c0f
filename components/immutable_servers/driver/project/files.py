"""Reads the user's project: its root, its stacks and their files."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.system import places
from immutable_servers.system.files import read_project

CHECKOUT = Path(__file__).resolve().parents[4]
"""The checkout that holds this package, with `toolchain/` and the requirements."""
ROOT_VARIABLE = "IMMUTABLE_PROJECT"
"""Set by the launcher: the folder that it lies in."""


def find_root() -> Path:
    """Return the project's folder: the launcher's, else the nearest above with a Pulumi.yaml."""
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / places.PROJECT_FILE).exists():
            return folder
    return CHECKOUT


def list_stacks(root: Path) -> Sequence[str]:
    """Return the names of the stacks that have a file, sorted."""
    names = (
        file.name.split(".", 1)[1].removesuffix(".yaml") for file in root.glob("Pulumi.*.yaml")
    )
    return sorted(name for name in names if name)


def find_stack_file(root: Path, stack: str) -> Path:
    """Return a stack's file.

    Raises:
        SettingsError: There is none of this name.
    """
    known = list_stacks(root)
    if stack not in known:
        name = stack.rpartition("/")[2]  # Pulumi's full name is organization/project/stack.
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SettingsError(
            f"There is no stack {stack!r}",
            facts=[f"Stacks in {root}: {', '.join(known) or 'none'}"],
            todo=f"{hint}A stack is a file, and named by it alone: "
            f"copy one to Pulumi.{name or 'NAME'}.yaml to make another.",
        )
    return places.stack_file(root, stack)


def read_values(root: Path, stack: str) -> Mapping[str, Any]:
    """Return the project's settings of a stack, as `load_settings` takes them.

    Raises:
        SettingsError: The file is missing, or `read_stack_values` refuses it.
    """
    from immutable_servers.settings.stack_files import (  # noqa: PLC0415 - `--help` does without
        read_stack_values,
    )

    find_stack_file(root, stack)
    return read_stack_values(root, stack)


def read_project_name(root: Path) -> str:
    """Return the project's name; empty without a Pulumi.yaml."""
    return str(read_project(root).get("name", ""))
