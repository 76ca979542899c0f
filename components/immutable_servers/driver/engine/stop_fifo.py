"""The FIFO by which a run's processes are told to stop (see `system.stopping`)."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "immutable-run-"
FIFO = "stop"


@contextmanager
def start_fifo() -> Iterator[Path]:
    """Yield the FIFO, in a folder that this process holds a lock on as long as it lives."""
    remove_left_fifos()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, _open_folder(Path(name)) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        fifo = Path(name, FIFO)
        os.mkfifo(fifo, 0o600)
        yield fifo


def remove_left_fifos() -> None:
    """Remove what runs of this user left that were killed: nobody holds its lock.

    A folder without a FIFO is one that is being made.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), _open_folder(left) as folder:
            if os.fstat(folder).st_uid == os.getuid():
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (left / FIFO).unlink()
                left.rmdir()


@contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield opened
    finally:
        os.close(opened)
