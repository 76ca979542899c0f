"""Lets one run at a time change a thing; the lock ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tenacity

from immutable_servers.errors import BusyError


@contextmanager
def hold_lock(path: Path, seconds: float, what: str) -> Iterator[None]:
    """Hold the lock file `path`, waiting up to `seconds` for whoever has it.

    The holder may remove the file, with its folder.

    Raises:
        BusyError: Another run holds it for longer than that.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((BlockingIOError, FileNotFoundError)),
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(seconds),
        reraise=True,
    )
    try:
        descriptor: int = attempts(take_lock, path)
    except (BlockingIOError, FileNotFoundError) as error:
        raise BusyError(
            f"Another run is changing {what}",
            facts=[f"It held the lock {path} for more than {seconds:.0f} s."],
            todo="Wait until that run is over, then run this again.",
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def take_lock(path: Path) -> int:
    """Return the open file that holds the lock; closing it lets the lock go.

    Raises:
        BlockingIOError: Another run holds it.
        FileNotFoundError: Its holder removed it just now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file that was locked has to be the one that others find under its name.
        is_current = os.fstat(descriptor).st_ino == path.stat().st_ino
    except BaseException:
        os.close(descriptor)
        raise
    if not is_current:
        os.close(descriptor)
        raise FileNotFoundError(path)
    return descriptor


def is_unheld(path: Path) -> bool:
    """Tell whether a lock file is there and nobody holds it."""
    descriptor = _try_lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def remove_unheld(path: Path) -> bool:
    """Remove a lock file that nobody holds; say whether it was removed."""
    descriptor = _try_lock(path)
    if descriptor is None:
        return False
    try:
        path.unlink(missing_ok=True)  # While it is held: who waits for it sees that it is gone.
    finally:
        os.close(descriptor)
    return True


def _try_lock(path: Path) -> int | None:
    """Return the open file that holds the lock; None where there is none, or somebody holds it."""
    if not path.exists():
        return None
    try:
        return take_lock(path)
    except (BlockingIOError, FileNotFoundError):
        return None
