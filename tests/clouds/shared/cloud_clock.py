"""The emulated cloud's clock: this machine's, and what a bake or a boot would have taken.

It is a file with a number of seconds, which the cloud raises. The processes of a run on the cloud
add it to `time.time` (`in_process/sitecustomize.py`), so theirs is the same; Packer's is not. Waits
go by the monotonic clock, and are as long as they are.
"""

from pathlib import Path
from time import time as real_time

VARIABLE = "IMMUTABLE_EMULATED_CLOCK"
"""Names the file."""
NAME = "clock"


class Clock:
    """The clock of a cloud's folder."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return real_time() + self._read()

    def pass_by(self, seconds: float) -> None:
        """Have it be later."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(self._read() + seconds))
        fresh.replace(self.file)

    def _read(self) -> float:
        try:
            return float(self.file.read_text())
        except FileNotFoundError:
            return 0.0
