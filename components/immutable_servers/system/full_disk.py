"""Explains a full disk, whichever write failed."""

import errno
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from immutable_servers.errors import ImmutableError
from immutable_servers.system import places

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
