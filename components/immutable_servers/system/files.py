"""Writes files whole or not at all, and reads JSON and YAML files."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.system import places
from immutable_servers.text.plain_yaml import read_yaml


def write_whole(file: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write beside and rename into place; a reader sees the old content or the new.

    So it is after a kill and after a power cut. Nobody but this user can read what is unfinished.

    Raises:
        OSError: The file could not be written; nothing is left of the attempt.
    """
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    beside = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode())
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(mode)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is no file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def write_json(file: Path, value: object) -> None:
    """Write JSON that only this user can read, whole or not at all; make the folder if missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(value, indent=2, sort_keys=True) + "\n", mode=0o600)


def read_project(root: Path) -> Mapping[str, Any]:
    """Return what a project's `Pulumi.yaml` says; empty when there is none.

    Raises:
        SettingsError: As `read_mapping`.
    """
    file = root / places.PROJECT_FILE
    return read_mapping(file) if file.exists() else {}


def read_mapping(file: Path) -> Mapping[str, Any]:
    """Return what a YAML file of the project says; empty for an empty file.

    Raises:
        SettingsError: It is no mapping in YAML that every reader reads alike.
    """
    try:
        read = read_yaml(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise SettingsError(
            f"{file.name} cannot be read", facts=str(error).splitlines(), todo="Fix the file."
        ) from error
    if read is not None and not isinstance(read, Mapping):
        raise SettingsError(f"{file.name} is not a mapping", todo="Fix the file.")
    return read or {}
