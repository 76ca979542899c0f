"""Reads the user's project: its root, its stacks and their files."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from immutable_servers.errors import SettingsError

CHECKOUT = Path(__file__).resolve().parents[4]
"""The checkout that holds this package, with `toolchain/` and the requirements."""
ROOT_VARIABLE = "IMMUTABLE_PROJECT"
"""Set by the launcher: the folder that it lies in."""
PROJECT_FILE = "Pulumi.yaml"


def find_root() -> Path:
    """Return the project's folder: the launcher's, else the nearest above with a Pulumi.yaml."""
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).exists():
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
    file = root / f"Pulumi.{stack}.yaml"
    known = list_stacks(root)
    if stack not in known:
        near = get_close_matches(stack, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SettingsError(
            f"There is no stack {stack!r}",
            facts=[f"Stacks in {root}: {', '.join(known) or 'none'}"],
            todo=f"{hint}A stack is a file: copy one to {file.name} to make another.",
        )
    return file


def read_values(root: Path, stack: str) -> Mapping[str, Any]:
    """Return the project's settings of a stack, as `load_settings` takes them.

    Their namespace, which is the project's name, is taken off.

    Raises:
        SettingsError: The file is missing, or is not YAML with a `config` mapping.
    """
    file = find_stack_file(root, stack)
    config = _read_yaml(file).get("config") or {}
    if not isinstance(config, Mapping):
        raise SettingsError(f"`config` in {file.name} is not a mapping", todo="Fix the file.")
    prefix = f"{read_project_name(root)}:"
    return {
        key.removeprefix(prefix): value
        for key, value in config.items()
        if isinstance(key, str) and (key.startswith(prefix) or ":" not in key)
    }


def read_project(root: Path) -> Mapping[str, Any]:
    """Return what Pulumi.yaml says; empty when there is none."""
    file = root / PROJECT_FILE
    return _read_yaml(file) if file.exists() else {}


def read_project_name(root: Path) -> str:
    """Return the project's name; empty without a Pulumi.yaml."""
    return str(read_project(root).get("name", ""))


def _read_yaml(file: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - `--help` does without

    try:
        read = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(
            f"{file.name} cannot be read", facts=str(error).splitlines(), todo="Fix the file."
        ) from error
    if read is not None and not isinstance(read, Mapping):
        raise SettingsError(f"{file.name} is not a mapping", todo="Fix the file.")
    return read or {}
