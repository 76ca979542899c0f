"""Makes the lock whose release asks a run's processes to stop (see `system.stopping`)."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from immutable_servers.system.file_locks import hold_lock, is_unheld, try_lock

PREFIX = "immutable-run-"
LOCK = "lock"
BEGUN = "begun"
"""The lock's name until it is held: nobody takes one that is being made for a killed run's."""


class StopLock:
    """A lock that this process holds until the run is to stop; its end lets it go as well."""

    def __init__(self, path: Path, held: ExitStack) -> None:
        self.path = path
        self._held = held

    def release(self) -> None:
        """Ask the run's processes to stop."""
        self._held.close()


@contextmanager
def start_stop_lock() -> Iterator[StopLock]:
    """Yield the lock, in a folder of its own."""
    remove_left_locks()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, ExitStack() as held:
        begun, lock = Path(folder, BEGUN), Path(folder, LOCK)
        held.enter_context(hold_lock(begun, 0, "the folder of a run"))
        begun.rename(lock)
        yield StopLock(lock, held)


def remove_left_locks() -> None:
    """Remove what runs of this user left that were killed: nobody holds its lock."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), try_lock(left / LOCK) as ours:
            if ours:
                (left / LOCK).unlink()
                left.rmdir()


def is_stopping(lock: Path) -> bool:
    """Return whether the processes that were given this lock were asked to stop."""
    return not lock.exists() or is_unheld(lock)
