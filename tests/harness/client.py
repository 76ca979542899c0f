"""A client of a service that asks all the time, as its users do."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

PAUSE = 0.05
ANSWER_SECONDS = 5.0


@dataclass
class Client:
    """What it was answered.

    Attributes:
        failures: Each answer that was none of an instance's, with its code or error.
        instances: Who answered, in order, each change once.
    """

    url: str
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """Ask once."""
        try:
            with urllib.request.urlopen(self.url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - this machine
                instance = json.loads(answer.read())["instance"]
        except (OSError, ValueError) as error:
            self.failures.append(str(error))
            return
        self.answers += 1
        if not self.instances or self.instances[-1] != instance:
            self.instances.append(instance)


def fetch(url: str) -> dict[str, Any]:
    """Return what an address answers once."""
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - this machine
        return dict(json.loads(answer.read()))


@contextmanager
def keep_asking(url: str) -> Iterator[Client]:
    """Ask until the block ends."""
    client = Client(url)
    with keep_doing(client.ask, PAUSE):
        yield client


@contextmanager
def keep_doing(work: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something beside the block until it ends, with so many seconds between."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(pause):
            work()

    doing = threading.Thread(target=run)
    doing.start()
    try:
        yield
    finally:
        ended.set()
        doing.join()
