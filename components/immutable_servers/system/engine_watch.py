"""Ends a process of ours when the Pulumi engine that started it was killed.

A dynamic provider and a program outlive a killed engine: nobody would end them. What a provider was
doing then stops as if it had been killed with it, which every operation has to bear anyway.
"""

import os
import select
import threading
from functools import cache

from immutable_servers.system.supervisor import Stat, read_stat

ENGINE_IS_GONE = 1
"""Exit code; nobody is left to read it."""


@cache
def end_with_engine() -> None:
    """Start the watch, once in a process; without an engine above us there is nothing to watch."""
    engine = find_engine()
    if engine is None or not hasattr(os, "pidfd_open"):
        return
    threading.Thread(target=_wait, args=(engine.pid,), daemon=True).start()


def _wait(engine: int) -> None:
    """Wait for the engine's exit through a pidfd (pidfd_open(2))."""
    try:
        exited = os.pidfd_open(engine)
    except ProcessLookupError:
        os._exit(ENGINE_IS_GONE)
    poll = select.poll()
    poll.register(exited, select.POLLIN)
    poll.poll()
    os._exit(ENGINE_IS_GONE)


ENGINE_NAME = "pulumi"


@cache
def find_engine() -> Stat | None:
    """Return the Pulumi engine among our ancestors, None when there is none.

    A shell script stands between the engine and a dynamic provider, and both outlive a killed
    engine, re-parented; so it is looked for once, and remembered with its start time.
    """
    stat = read_stat(os.getpid())
    while stat and stat.parent > 1:
        stat = read_stat(stat.parent)
        if stat and stat.comm == ENGINE_NAME:
            return stat
    return None
