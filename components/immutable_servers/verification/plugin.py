"""The pytest plugin of a verification: `expected`, and the results as JSON lines.

Loaded by name (`-p immutable_servers.verification.plugin`), in the process of one server's checks.
"""

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.verification.bodies import REPEATED
from immutable_servers.verification.results import EXPECTED_VARIABLE, OPTION

LONGEST_LINE, KEPT_OF_LINE = 4096, 400
LONGEST_TEXT, LEAST_TEXT = 64 * 1024, 1024
MOST_TEXT = 8 * 1024 * 1024
"""Characters of a line that is whole and of one that is not, of a report, and of all reports."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option for the results' file."""
    parser.addoption(OPTION, dest="immutable_results", type=Path, help="file for JSON lines")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Let a check name a module by its place in the project, behind all that is installed."""
    sys.path.append(str(Path.cwd()))


def pytest_configure(config: pytest.Config) -> None:
    """Start to write results when a file is named."""
    path = config.getoption("immutable_results")
    if path:
        config.pluginmanager.register(ResultWriter(path))


class ResultWriter:
    """Writes pytest's reports as JSON lines, each at once; `results.ResultReader` reads them.

    A line is the count of collected checks, the result of a check (or of a file that cannot be
    collected), the count of checks that ended with their teardown, or the end of the session. A run
    is complete when all that was collected has ended, and the session too.
    """

    def __init__(self, path: Path) -> None:
        # A lone surrogate, as in undecodable output of a server, is no UTF-8 and becomes `?`.
        self.file = path.open("x", encoding="utf-8", errors="replace", newline="\n")
        self.left = MOST_TEXT
        self.started = self.finished = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Write what a `conftest.py` leaves out as skipped, since it did not run."""
        before = list(items)
        yield
        kept = set(items)
        for item in before:
            if item not in kept:
                self._write_result(item.nodeid, "collect", "skipped", "left out by a conftest.py")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write how many checks will run."""
        self._write(collected=len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a file that failed to load or that skips itself."""
        if not report.passed:
            self._write_report(report)

    def pytest_runtest_logstart(self) -> None:
        """Count a check, which tells its results from those of another with the same name."""
        self.started += 1

    def pytest_runtest_logfinish(self) -> None:
        """Write how many checks have ended, without one in which somebody ended pytest."""
        self.finished += 1
        self._write(finished=self.finished)

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
        # Of a skipped check `longrepr` is its file, line and reason.
        text = self._shorten(str(why[-1]) if isinstance(why, tuple) else report.longreprtext)
        self._write_result(
            report.nodeid,
            report.when,
            "error" if outside else report.outcome,
            text,
            seconds=getattr(report, "duration", 0.0),
            repeated=dict(getattr(report, "user_properties", ())).get(REPEATED, 0),
        )

    def _write_result(
        self,
        nodeid: str,
        when: str | None,
        outcome: str,
        text: str,
        *,
        seconds: float = 0.0,
        repeated: int = 0,
    ) -> None:
        self._write(
            item=self.started,
            nodeid=nodeid[:LONGEST_LINE],
            when=when,
            outcome=outcome,
            seconds=seconds,
            text=text,
            repeated=repeated,
        )

    def _shorten(self, text: str) -> str:
        """Return the last lines of a text, where the assertion is, and the start of a long line."""
        room = max(min(self.left, LONGEST_TEXT), LEAST_TEXT)
        kept: list[str] = []
        for line in reversed(text.split("\n")):
            short = line if len(line) <= LONGEST_LINE else f"{line[:KEPT_OF_LINE]} (cut)"
            room -= len(short) + 1
            if room < 0:
                kept.append("(what comes before is left out)")
                break
            kept.append(short)
            self.left -= len(short) + 1
        return "\n".join(reversed(kept))

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
