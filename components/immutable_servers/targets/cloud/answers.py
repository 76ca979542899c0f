"""Adds up what a cloud's metrics say of answers: each minute is a counter of its own."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Mapping

from immutable_servers.contract.values import Answers

MINUTE = 60
"""Seconds for which load balancers add up what they report."""
MINUTES = 180


class Minutes:
    """The minutes that a cloud is asked about; the last one is this clock's, which goes on.

    Attributes:
        start: When the first one begins.
        end: When the last one ends.
    """

    def __init__(self) -> None:
        self._now = time.time()
        end = (int(self._now) // MINUTE + 1) * MINUTE
        self._starts: dict[int, Counter[str]] = {
            start: Counter() for start in range(end - MINUTES * MINUTE, end, MINUTE)
        }
        self.start, self.end = (
            dt.datetime.fromtimestamp(one, dt.UTC) for one in (min(self._starts), end)
        )

    def add(self, start: dt.datetime, word: str, count: int) -> None:
        """Note how many answers of a kind began in the minute that begins at `start`."""
        self._starts.setdefault(int(start.timestamp()), Counter())[word] += count

    def add_up(self, judge: Callable[[Mapping[str, int], float], Answers]) -> dict[str, Answers]:
        """Return the answers of each minute, by what was noted of it and its age in seconds."""
        return {
            f"{dt.datetime.fromtimestamp(start, dt.UTC):%Y-%m-%dT%H:%M}": judge(
                found, self._now - start
            )
            for start, found in self._starts.items()
        }
