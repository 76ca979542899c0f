"""Shows a run as plain lines; the other displays refine this one."""

import time
from collections.abc import Mapping

from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import render_seconds

Expected = Mapping[tuple[str, str], float]
"""How long work took in earlier runs, in seconds, by phase and subject."""


class Plain:
    """Prints each line with the time since the run began.

    Attributes:
        has_rows: It draws rows, so that lines have to go above them.
    """

    has_rows = False

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.began = time.monotonic()

    def line(self, text: str) -> None:
        """Print a line of the run."""
        self.put(f"{render_clock(time.monotonic() - self.began)} {text}")

    def put(self, text: str) -> None:
        """Print a line as it is."""
        console.say(text)

    def begin(self, work: Work) -> None:
        """Take the start of work."""

    def say_of(self, work: Work | None, text: str) -> None:
        """Take a line that a resource printed, and the running work that it is about."""
        del work
        self.line(f"  {text}")

    def end(self, work: Work, text: str) -> None:
        """Take the end of work, in words."""
        del work
        self.line(text)

    def drop(self, work: Work) -> None:
        """Take the end of work that failed; its error is shown at the end."""

    def close(self) -> None:
        """End the display."""

    def word_elapsed(self, work: Work, seconds: float) -> str:
        """Return text such as `12 s of about 45 s`, or that it takes longer than before."""
        elapsed, before = render_seconds(seconds), self.expected.get(work.key)
        if not before:
            return elapsed
        if seconds > before:
            return f"{elapsed}, longer than the {render_seconds(before)} before"
        return f"{elapsed} of about {render_seconds(before)}"

    def word_expected(self, work: Work) -> str:
        """Return text such as `about 45 s`; empty where no earlier run was timed."""
        seconds = self.expected.get(work.key)
        return f"about {render_seconds(seconds)}" if seconds else ""


def render_clock(seconds: float) -> str:
    """Return a span of time such as `  4:13`."""
    return f"{seconds // 60:3.0f}:{int(seconds % 60):02}"
