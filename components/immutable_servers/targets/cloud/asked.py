"""Keeps what a cloud has answered while a command, or a program, only looks.

A run looks at a stack within seconds, and each part of it asks on its own: for each service, for
each generation. What is asked the same way is asked once, until something is changed.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Question = tuple[str, ...]
"""Region, service, operation and arguments."""


class Asked:
    """The answers so far; nothing is kept before `begin`, nor after a change.

    Attributes:
        reads: How the cloud's operations begin that change nothing.
    """

    def __init__(self, *reads: str) -> None:
        self.reads = reads
        self._answers: dict[Question, Sequence[Any]] | None = None

    def begin(self) -> None:
        """Forget all answers, and keep those that come from now on."""
        self._answers = {}

    @property
    def is_on(self) -> bool:
        """Whether answers are kept now."""
        return self._answers is not None

    def note(self, operation: str) -> None:
        """Stop when an operation changes something."""
        if not operation.startswith(self.reads):
            self.stop()

    def stop(self) -> None:
        """Forget all answers, and keep none from now on."""
        self._answers = None

    def find(self, question: Question, ask: Callable[[], Iterable[Any]]) -> list[Any]:
        """Return the answer to a question, asked now unless it is kept."""
        answers = self._answers
        if answers is None:
            return [*ask()]
        if question not in answers:
            answers[question] = [*ask()]
        return [*answers[question]]


class Lately:
    """Answers that waits share, which look at the same things at the same time."""

    def __init__(self) -> None:
        self._answers: dict[Question, tuple[float, Sequence[Any]]] = {}
        self._asking = threading.Lock()

    def find(
        self, question: Question, ask: Callable[[], Sequence[Any]], seconds: float
    ) -> Sequence[Any]:
        """Return an answer that is some seconds old at most; one thread asks at a time."""
        with self._asking:
            at, found = self._answers.get(question, (-math.inf, ()))
            if time.monotonic() - at > seconds:
                found = ask()
                self._answers[question] = (time.monotonic(), found)
        return found

    def forget(self) -> None:
        """Forget all answers."""
        self._answers.clear()
