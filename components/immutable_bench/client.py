"""Clients that ask a service at a steady rate, and what is read from their answers."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO
from urllib.parse import urlsplit

from immutable_bench.load_servers import requester

REACHED = 0.95
"""Share of a rate from which on it counts as reached."""


@dataclass(frozen=True)
class Answer:
    """What one request got.

    Attributes:
        due: When it was to be asked, on the monotonic clock.
        at: When the answer was there, on the same clock.
        generation: Who answered; empty for a failed request, or where `/version` does not say.
        why: Why it failed.
    """

    due: float
    at: float
    ok: bool = True
    generation: str = ""
    why: str = ""


@dataclass
class Clients:
    """What asks, in a process of its own.

    Attributes:
        orders: Takes the rate.
        answers: Filled when the clients have ended.
    """

    orders: IO[bytes]
    answers: list[Answer] = field(default_factory=list)

    def set_rate(self, rate: float) -> float:
        """Ask at this rate per second from now on; return the time."""
        now = time.monotonic()
        self.orders.write(f"{rate} {now}\n".encode())
        self.orders.flush()
        return now


@contextmanager
def start_clients(address: str, rate: float) -> Iterator[Clients]:
    """Yield clients that ask at a rate per second; at the end they hold the answers."""
    place = urlsplit(address)
    words = [str(place.hostname), str(place.port)]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", requester.__file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError(process)  # Popen was asked for both.
        process.stdout.readline()  # It is ready.
        clients = Clients(process.stdin)
        clients.set_rate(rate)
        try:
            yield clients
        finally:
            process.stdin.close()
            clients.answers += [_read(line) for line in process.stdout]


def _read(line: bytes) -> Answer:
    due, at, status, generation, why = json.loads(line)
    return Answer(due, at, status == requester.OK, generation, why)


@dataclass(frozen=True)
class Load:
    """What came of the requests that were due in a span of time.

    Attributes:
        rate: Answers in a second.
        gap: The longest time between two good answers, in seconds.
        latency: 99th percentile of the seconds from when a request was due to its answer.
    """

    requests: int
    failed: int
    rate: float
    gap: float
    latency: float

    def has_reached(self, rate: float) -> bool:
        """Return whether as many requests were answered as were to be asked."""
        return self.rate >= REACHED * rate


def measure_load(answers: Sequence[Answer], *spans: tuple[float, float]) -> Load:
    """Count the answers to what was due in these spans, from and until when."""
    inside = [one for one in answers if any(start <= one.due < end for start, end in spans)]
    good = [one for one in inside if one.ok]
    seconds = sum(end - start for start, end in spans)
    return Load(
        requests=len(inside),
        failed=len(inside) - len(good),
        rate=len(good) / seconds if seconds else 0.0,
        gap=max(find_longest_gap([one for one in good if s <= one.due < e]) for s, e in spans),
        latency=find_percentile([one.at - one.due for one in good], 99),
    )


def find_percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of the values; 0 without any."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0.0


def find_longest_gap(answers: Sequence[Answer]) -> float:
    """Return the longest time between two good answers, in seconds."""
    times = sorted(answer.at for answer in answers if answer.ok)
    return max((after - before for before, after in pairwise(times)), default=0)


def count_early(answers: Sequence[Answer], old: str, new: str, verified: float) -> int:
    """Return how many answers came from a server that was not verified at that time.

    `old` had been verified before; `new` was at the time `verified`; nobody else should answer.
    """
    return sum(
        1
        for answer in answers
        if answer.generation
        and answer.generation != old
        and (answer.generation != new or answer.at < verified)
    )
