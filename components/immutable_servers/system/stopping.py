"""Lets the driver tell the processes of a run to end what they are doing, soon and cleanly.

After a first Ctrl-C the engine starts nothing new and waits for what is under way, and dynamic
providers do not hear of it. So the driver names a lock in the environment which it holds, and lets
it go at the first Ctrl-C: that wakes everybody who waits for it (flock(2)). The kernel lets it go
when the driver is killed. Nobody polls, and a run by plain `pulumi` has no such variable and stays
as the engine has it.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from immutable_servers.errors import StoppedError

VARIABLE = "IMMUTABLE_STOP"
"""Names the lock; set by the driver."""
STOP = threading.Event()
"""Set once this process was asked to stop; never cleared."""
_callbacks: set[Callable[[], None]] = set()
_lock = threading.RLock()
"""A signal's handler may call `stop` in the thread that holds it."""


def stop() -> None:
    """Tell this process to stop: waits (`system.waiting`) and supervised commands are ended."""
    with _lock:
        STOP.set()
        callbacks = list(_callbacks)
    for callback in callbacks:
        callback()


@cache
def listen() -> None:
    """Wait for the driver's word in a thread, once in a process; without a driver nobody waits."""
    if os.environ.get(VARIABLE):
        threading.Thread(target=_wait, args=(os.environ[VARIABLE],), daemon=True).start()


def _wait(path: str) -> None:
    with suppress(FileNotFoundError), Path(path).open() as lock:  # gone with its driver
        fcntl.flock(lock, fcntl.LOCK_SH)
    stop()


@contextmanager
def on_stop(callback: Callable[[], None], what: str) -> Iterator[None]:
    """Have `callback` called when this process is asked to stop.

    Raises:
        StoppedError: It was asked before.
    """
    call = partial(callback)  # its own key, also when two ask for the same
    with _lock:
        raise_if_stopped(what)
        _callbacks.add(call)
    try:
        yield
    finally:
        _callbacks.discard(call)


def raise_if_stopped(what: str) -> None:
    """Refuse to go on when this process was asked to stop.

    Raises:
        StoppedError: It was.
    """
    if STOP.is_set():
        raise StoppedError(f"{what[:1].upper()}{what[1:]} was ended: the run was asked to stop")
