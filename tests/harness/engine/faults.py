"""What goes wrong on the instant target when a test says so, each at a moment that has a name.

`faults.json` maps `MOMENT: WHAT` to how often it still happens, as in `after traffic: kill engine`.
"""

import errno
import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.clock import find_clock, pass_time
from immutable_servers.errors import (
    ImageError,
    ImmutableError,
    LaunchError,
    RetirementError,
    TrafficError,
)
from immutable_servers.system.engine_watch import find_engine

MOMENTS: Mapping[str, type[ImmutableError]] = {
    "before question": TrafficError,
    "before bake": ImageError,
    "after bake": ImageError,
    "before key": LaunchError,
    "after key": LaunchError,
    "before launch": LaunchError,
    "half launch": LaunchError,
    "after launch": LaunchError,
    "before login": LaunchError,
    "before seal": LaunchError,
    "after seal": LaunchError,
    "before traffic": TrafficError,
    "after traffic": TrafficError,
    "in settling": TrafficError,
    "in watch": TrafficError,
    "before drain": RetirementError,
    "after drain": RetirementError,
    "before delete": LaunchError,
    "half delete": LaunchError,
    "after delete": LaunchError,
}
"""Each moment of an update and of a delete, and what is raised when it goes wrong there.

Raised after the work, it is an answer that was lost."""
HOUR = 3600
DIES_WITHIN = 20
"""Seconds in which the provider's own watch ends it once its engine was killed."""


def refuse(moment: str) -> None:
    """Raise what a target raises."""
    raise MOMENTS[moment](f"It went wrong {moment}", todo="Try again.")


def fill_disk(moment: str) -> None:
    """Raise what the kernel says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), moment)


def kill_engine(_moment: str) -> None:
    """End the engine as a crash would; nothing more is done here, since our watch ends us."""
    _signal_engine(signal.SIGKILL)
    threading.Event().wait(DIES_WITHIN)


def interrupt_engine(_moment: str) -> None:
    """Have the engine asked to stop, and go on: it waits for what is under way."""
    _signal_engine(signal.SIGINT)


def kill_provider(_moment: str) -> None:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)


def edit_checks(_moment: str) -> None:
    """Have the checks of the checkout accept everything, as another branch's may."""
    for file in Path("tests/servers").glob("test_*.py"):
        file.write_text("def test_it(): assert True\n")


def take_an_hour(_moment: str) -> None:
    """Have it take longer than any login window."""
    pass_time(find_clock(), HOUR)


def _signal_engine(number: signal.Signals) -> None:
    engine = find_engine()
    assert engine
    os.kill(engine.pid, number)


WHATS: Mapping[str, Callable[[str], None]] = {
    "refuse": refuse,
    "disk full": fill_disk,
    "kill engine": kill_engine,
    "interrupt engine": interrupt_engine,
    "kill provider": kill_provider,
    "edit checks": edit_checks,
    "take an hour": take_an_hour,
}


class Faults:
    """The faults that are still to come in one world."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "faults.json"

    def set(self, name: str, times: int) -> None:
        """Have one happen; a name that is not known is a mistake of the test."""
        moment, _, what = name.partition(": ")
        assert moment in MOMENTS, name
        assert what in WHATS, name
        self.file.write_text(json.dumps({**self._read(), name: times}))

    def clear(self) -> None:
        """Forget those that did not happen."""
        self.file.unlink(missing_ok=True)

    def meet(self, moment: str) -> None:
        """Let happen what is due at a moment."""
        if not self.file.exists():
            return
        for name in self._take(moment):
            WHATS[name.partition(": ")[2]](moment)

    def _read(self) -> dict[str, int]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def _take(self, moment: str) -> list[str]:
        """Count down the faults of a moment, and return those that were due."""
        with self.file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            faults = self._read()
            due = [n for n, left in faults.items() if left and n.startswith(f"{moment}: ")]
            self.file.write_text(json.dumps({n: c - (n in due) for n, c in faults.items()}))
        return due
