"""Clients that ask a service at a steady rate, and what is read from their answers."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

CLIENTS = 20
TIMEOUT = 10
OK = 200


@dataclass(frozen=True)
class Answer:
    """What one request got.

    Attributes:
        at: When the answer was there, on the monotonic clock.
        generation: Who answered; empty for a failed request, or where `/version` does not say.
        why: Why it failed.
    """

    at: float
    ok: bool
    generation: str = ""
    why: str = ""


@contextmanager
def start_clients(address: str, rate: int) -> Iterator[list[Answer]]:
    """Yield the answers to so many requests a second, each on a connection of its own."""
    answers: list[Answer] = []
    stop = threading.Event()
    threads = [
        threading.Thread(target=_ask_on, args=(address, CLIENTS / rate, answers, stop), daemon=True)
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask_on(address: str, every: float, answers: list[Answer], stop: threading.Event) -> None:
    """Ask at each tick; a tick that an answer was waited for is made up for at once."""
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        answers.append(ask(address))
        due += every


def ask(address: str) -> Answer:
    """Ask for `/version` once."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/version", headers={"Connection": "close"})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer(time.monotonic(), ok=False, why=f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    if response.status != OK:
        return Answer(time.monotonic(), ok=False, why=f"status {response.status}")
    return Answer(time.monotonic(), ok=True, generation=_read_generation(text))


def _read_generation(text: bytes) -> str:
    try:
        read = json.loads(text)
    except ValueError:
        return ""
    return str(read.get("generation", "")) if isinstance(read, dict) else ""


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
