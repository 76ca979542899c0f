"""Tells a full disk as an error of ours, wherever it was met."""

import errno
import shutil
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from immutable_servers import places
from immutable_servers.errors import ImmutableError

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
