"""Lets two runs on one machine that want one version bake it once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.system.places import data_dir


@contextmanager
def hold_version(target: str, image: str, version: str, say: Say) -> Iterator[None]:
    """Hold a version of an image on a target; wait for a run that holds it, saying which.

    The kernel lets go of the lock when its holder dies (flock(2)), so a killed run blocks nobody.
    """
    folder = data_dir() / "locks" / target
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image}-{version}"
    file = _open_locked(path, f"{image} {version}", say)
    try:
        os.truncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        # While it is held: one who waits for this file sees that it is gone, and opens a new one.
        path.unlink(missing_ok=True)
        os.close(file)


def is_held(target: str, image: str, version: str) -> bool:
    """Tell whether a run on this machine holds a version; the caller's own counts."""
    try:
        file = os.open(data_dir() / "locks" / target / f"{image}-{version}", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _open_locked(path: Path, what: str, say: Say) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file, what, say)
            if _is_still(path, file):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int, what: str, say: Say) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 20, 0).decode() or "unknown"
        say(f"waits for {what}, which another run bakes (process {holder})")
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False
