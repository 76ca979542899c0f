"""Runs the body of a check, and fails a check whose body did not run to its end.

Loaded by name (`-p immutable_servers.verification.bodies`), in the process of a server's checks.
A coroutine or a generator that nobody runs, and a value that nobody reads, look like a pass.
"""

import inspect
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_fixed

from immutable_servers.text.printable import shorten
from immutable_servers.verification.results import SECONDS_VARIABLE

SECONDS = 30.0
"""How long after its first failure a check marked `eventually` may be repeated."""
EVERY = 0.5

REPEATED = "immutable_repeated"
"""The property of a check that says how often it was repeated."""

LONGEST_VALUE = 100
"""Characters that a message shows of a returned value."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", f"eventually: repeated until {SECONDS:.0f} s after its first failure"
    )


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a check, a failing one again when it is marked `eventually`; its fixtures are made once.

    It takes the place of pytest's own implementation. A plugin that a `conftest.py` names, such as
    one that runs coroutines, is asked before.
    """
    if is_left_to_others(pyfuncitem.obj):
        fail("it is `async def` or a generator, which nothing runs: call `asyncio.run` in a `def`")
    # As pytest's own implementation chooses the arguments.
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - there is no public way
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    if pyfuncitem.get_closest_marker("eventually") is None:
        answer = pyfuncitem.obj(**arguments)
    else:
        answer = _repeat(pyfuncitem, arguments)
    if answer is not None:
        if inspect.iscoroutine(answer):
            answer.close()  # Or Python warns at some later check that it was never awaited.
        fail(
            f"it returned {shorten(repr(answer), LONGEST_VALUE)}, which nobody reads: use `assert`"
        )
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Fail a method of a `unittest.TestCase` that returns a value or a coroutine.

    The filter is the last that is set, and goes with those that pytest sets for the check.
    """
    warnings.filterwarnings(
        "error", "It is deprecated to return a value that is not None", DeprecationWarning
    )
    return (yield)


def is_left_to_others(function: Callable[..., object]) -> bool:
    """Return whether a call of the function would run nothing of its body."""
    return any(
        is_one(function)
        for is_one in (
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
            inspect.isgeneratorfunction,
        )
    )


def fail(why: str) -> None:
    """Fail the check without a traceback, which would show our own lines."""
    pytest.fail(f"The check proves nothing: {why}", pytrace=False)


class _StopAfterFirstFailure:
    """Ends the attempts some seconds after the first has failed, however long that one took."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        """Return whether the time is over."""
        now = state.outcome_timestamp or state.start_time
        self.first = now if self.first is None else self.first
        return now - self.first >= self.seconds


def start_attempts() -> Iterator[Any]:
    """Return attempts that repeat failures, and nothing else (a skip is no failure)."""
    seconds = float(os.environ.get(SECONDS_VARIABLE, SECONDS))
    return iter(
        Retrying(
            stop=_StopAfterFirstFailure(seconds),
            wait=wait_fixed(EVERY),
            retry=retry_if_exception_type((Exception, pytest.fail.Exception)),
            reraise=True,
        )
    )


def _repeat(item: pytest.Function, arguments: dict[str, Any]) -> object:
    """Call the check until it passes or its time is over, and return what it returned."""
    repeated, answer = 0, None
    try:
        for attempt in start_attempts():
            repeated = attempt.retry_state.attempt_number - 1
            with attempt:
                answer = item.obj(**arguments)
    finally:
        if repeated:
            item.user_properties.append((REPEATED, repeated))
    return answer
