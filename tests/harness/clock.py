"""A clock that a test moves, for each process that has it put in the place of the machine's own."""

import os
import time
from pathlib import Path

VARIABLE = "MOVED_CLOCK"
"""Names the file that says by how many seconds the clock is ahead; without it it is right."""
_real = time.time


def use_moved_clock() -> None:
    """Have `time.time` of this process, and of its forks, be ahead."""
    time.time = lambda: _real() + read_lead(find_clock())


def find_clock() -> Path:
    """Return the file of this process's clock."""
    return Path(os.environ.get(VARIABLE) or os.devnull)


def read_lead(clock: Path) -> float:
    """Return by how many seconds a clock is ahead."""
    return float(clock.read_text() or 0) if clock.exists() else 0.0


def pass_time(clock: Path, seconds: float) -> None:
    """Have time pass for every process with this clock."""
    clock.write_text(str(read_lead(clock) + seconds))
