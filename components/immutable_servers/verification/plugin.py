"""The pytest plugin that verification runs with: `expected` and `eventually`.

Loaded by name (`-p immutable_servers.verification.plugin`), in the process of one server's checks.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_fixed

from immutable_servers.verification.follower import EXPECTED_VARIABLE, REPEATED, SECONDS_VARIABLE

SECONDS = 30.0
"""How long after its first failure a check marked `eventually` may be repeated."""
EVERY = 0.5


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers", f"eventually: repeated until {SECONDS:.0f} s after its first failure"
    )


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """Return what is expected of this server: image versions, ports, `server`, and the like."""
    place = os.environ.get(EXPECTED_VARIABLE)
    if not place:
        pytest.skip(f"{EXPECTED_VARIABLE} names no file: not run by a verification")
    values: dict[str, Any] = json.loads(Path(place).read_text(encoding="utf-8"))
    return values


class _StopAfterFirstFailure:
    """Stops so many seconds after the first attempt has failed, however long that one took."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        """Tell whether the time is over."""
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


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Repeat a failing check that is marked `eventually`; its fixtures are made once."""
    if pyfuncitem.get_closest_marker("eventually") is None:
        return None
    # As pytest's own implementation chooses the arguments.
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - there is no public way
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    repeated = 0
    try:
        for attempt in start_attempts():
            repeated = attempt.retry_state.attempt_number - 1
            with attempt:
                pyfuncitem.obj(**arguments)
    finally:
        if repeated:
            pyfuncitem.user_properties.append((REPEATED, repeated))
    return True
