"""The pytest plugin of a verification: `expected`, `eventually`, and the results as JSON lines.

Loaded by name (`-p immutable_servers.verification.plugin`), in the process of one server's checks.
"""

import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_fixed

from immutable_servers.verification.results import EXPECTED_VARIABLE, OPTION, SECONDS_VARIABLE

SECONDS = 30.0
"""How long after its first failure a check marked `eventually` may be repeated."""
EVERY = 0.5

REPEATED = "immutable_repeated"
"""The property of a check that says how often it was repeated."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option for the results' file."""
    parser.addoption(OPTION, dest="immutable_results", type=Path, help="file for JSON lines")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and start to write results when a file is named."""
    config.addinivalue_line(
        "markers", f"eventually: repeated until {SECONDS:.0f} s after its first failure"
    )
    path = config.getoption("immutable_results")
    if path:
        config.pluginmanager.register(ResultWriter(path))


class ResultWriter:
    """Writes pytest's reports as JSON lines, each at once; `results.ResultReader` reads them.

    A line is the count of collected checks, the result of a check (or of a file that cannot be
    collected), or the end of the session. Without that last line a run is not complete.
    """

    def __init__(self, path: Path) -> None:
        # A lone surrogate, as in undecodable output of a server, is no UTF-8 and becomes `?`.
        self.file = path.open("x", encoding="utf-8", errors="replace", newline="\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write how many checks will run."""
        self._write(collected=len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a file that failed to load or that skips itself."""
        if not report.passed:
            self._write_report(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the result of a check; its setup and teardown only when they did not pass."""
        if report.when == "call" or not report.passed:
            self._write_report(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the end, after every other plugin, since each may still change the status."""
        yield
        self._write(ended=int(session.exitstatus))

    def _write_report(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        why = report.longrepr
        outside = report.failed and report.when != "call"
        self._write(
            nodeid=report.nodeid,
            when=report.when,
            outcome="error" if outside else report.outcome,
            seconds=getattr(report, "duration", 0.0),
            # Of a skipped check it is its file, line and reason.
            text=str(why[-1]) if isinstance(why, tuple) else report.longreprtext,
            repeated=dict(getattr(report, "user_properties", ())).get(REPEATED, 0),
        )

    def _write(self, **line: Any) -> None:  # noqa: ANN401 - plain values for JSON
        self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.file.flush()  # A process that dies loses nothing that it reported.


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """Return what is expected of this server: image versions, ports, `server`, and the like."""
    place = os.environ.get(EXPECTED_VARIABLE)
    if not place:
        pytest.skip(f"{EXPECTED_VARIABLE} names no file: not run by a verification")
    values: dict[str, Any] = json.loads(Path(place).read_text(encoding="utf-8"))
    return values


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
