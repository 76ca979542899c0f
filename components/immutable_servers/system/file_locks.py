"""Lets one run at a time change a thing; flock(2) ends the lock with its process."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.errors import BusyError
from immutable_servers.system.waiting import wait_until

LOOK_SECONDS = 0.05


@contextmanager
def hold_lock(
    path: Path,
    seconds: float,
    what: str,
    *,
    on_wait: Callable[[], object] = lambda: None,
    stoppable: bool = True,
) -> Iterator[None]:
    """Hold the lock file `path`, made when missing, waiting up to `seconds` for whoever has it.

    The holder may remove the file, with its folder.

    Args:
        path: The lock file.
        seconds: The longest wait; `math.inf` waits for as long as it takes.
        what: What is locked, for the errors.
        on_wait: Called once when somebody else has it.
        stoppable: False for what is needed to clean up while the run stops.

    Raises:
        BusyError: Another run holds it for longer than that.
        StoppedError: This process was asked to stop while it waited.
    """
    lock = _open_locked(path)
    if lock is None:
        on_wait()
        lock = wait_until(
            f"waiting for {what}",
            seconds,
            lambda: _open_locked(path),
            done=lambda found: found is not None,
            every=LOOK_SECONDS,
            stoppable=stoppable,
        )
    if lock is None:
        raise BusyError(
            f"Another run is changing {what}",
            facts=[f"It held the lock {path} for more than {seconds:.0f} s."],
            todo="Wait until that run is over, then run this again.",
        )
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file that is there, if nobody else does; yield whether it is held."""
    lock = _open_locked(path, os.O_RDWR)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def is_unheld(path: Path) -> bool:
    """Return whether a lock file is there and nobody holds it.

    Others who look, and who wait with a shared lock, are no holders.
    """
    lock = _open_locked(path, os.O_RDWR, fcntl.LOCK_SH)
    if lock is None:
        return False
    os.close(lock)
    return True


def remove_unheld(path: Path) -> bool:
    """Remove a lock file that nobody holds; return whether it was removed."""
    with try_lock(path) as ours:
        if ours:
            path.unlink(missing_ok=True)  # While it is held: who waits for it sees that it is gone.
        return ours


def _open_locked(
    path: Path, flags: int = os.O_RDWR | os.O_CREAT, kind: int = fcntl.LOCK_EX
) -> int | None:
    """Return the open file that holds the lock; closing it lets the lock go.

    None when another run holds it, when its holder has just removed it, and where there is none.
    """
    if flags & os.O_CREAT:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
        # The file that was locked has to be the one that others find under its name.
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
