"""Writes files whole or not at all, and explains a full disk."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from immutable_servers.errors import ImmutableError
from immutable_servers.system import places


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


P = ParamSpec("P")

T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT)
_SMALLEST = 4096
"""Bytes of a block: what any file takes."""


def explain_full_disk(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function; on a full disk it raises what failed, the facts, and what to do."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            explained = find_full_disk(error)
            if explained is None:
                raise
            raise explained from error

    return call


def find_full_disk(error: BaseException) -> ImmutableError | None:
    """Return the error that explains a full disk; None when `error` is about something else."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    folder, free = _find_room()
    facts = [
        f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror),
        f"{folder}: {free // 2**20} MB are free",
    ]
    return ImmutableError(
        "The disk is full: a file could not be written",
        facts=facts,
        todo="Free some space, then run the same command again: it goes on from what is there.",
    )


def is_disk_full() -> bool:
    """Return whether the disk of the data folder has no room for the smallest file."""
    return _find_room()[1] < _SMALLEST


def _find_room() -> tuple[Path, int]:
    """Return the data folder, or the nearest one above it that exists, and the free bytes."""
    folder = next(path for path in (places.data_dir(), *places.data_dir().parents) if path.exists())
    return folder, shutil.disk_usage(folder).free


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
