"""Writes a file whole or not at all."""

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


def write_whole(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write beside and rename into place; a reader sees the old content or the new.

    Raises:
        OSError: The file could not be written; nothing is left of the attempt.
    """
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    beside = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
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


def tell_full_disk(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function, with a full disk told as what failed, the facts, and what to do."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            told = find_full_disk(error)
            if told is None:
                raise
            raise told from error

    return call


def find_full_disk(error: BaseException) -> ImmutableError | None:
    """Return what tells a full disk better than the error does; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    folder = next(path for path in (places.data_dir(), *places.data_dir().parents) if path.exists())
    facts = [
        f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror),
        f"{folder}: {shutil.disk_usage(folder).free // 2**20} MB are free",
    ]
    return ImmutableError(
        "A file could not be written, for its disk is full",
        facts=facts,
        todo="Free some space, then run the same command again: it goes on from what is there.",
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is no file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader, or a kill, sees the old file or the new one."""
    write_private(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
