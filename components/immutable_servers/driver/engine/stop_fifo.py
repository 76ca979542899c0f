"""Makes the FIFO that asks a run's processes to stop (see `system.stopping`)."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from immutable_servers.system.file_locks import hold_lock, try_lock

PREFIX = "immutable-run-"
FIFO = "stop"
LOCK = "lock"


@contextmanager
def start_fifo() -> Iterator[Path]:
    """Yield the FIFO, in a folder whose lock this process holds as long as it lives."""
    remove_left_fifos()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX) as folder,
        hold_lock(Path(folder, LOCK), 0, "the folder of a run"),
    ):
        fifo = Path(folder, FIFO)
        os.mkfifo(fifo, 0o600)
        yield fifo


def remove_left_fifos() -> None:
    """Remove what runs of this user left that were killed: nobody holds its lock.

    A folder without a FIFO is one that is being made.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if left.lstat().st_uid == os.getuid():
                _remove_left(left)


def _remove_left(folder: Path) -> None:
    with try_lock(folder / LOCK) as ours:
        if ours:
            (folder / FIFO).unlink()
            (folder / LOCK).unlink()
            folder.rmdir()
