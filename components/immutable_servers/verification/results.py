"""Reads the results of one run of checks from the JSON lines that our pytest plugin writes.

The lines go to a file in the run's private folder. What a check or its server prints goes to the
log instead, so that no output can be taken for a result.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from immutable_servers.contract.values import Login, Say
from immutable_servers.text.printable import make_printable, shorten
from immutable_servers.verification.report import Failure, ServerResult

OPTION = "--immutable-results"
"""The plugin's option: the file for the lines."""

EXPECTED_VARIABLE = "IMMUTABLE_EXPECTED"
"""Names a JSON file with what is expected of the server under test."""

SECONDS_VARIABLE = "IMMUTABLE_EVENTUALLY_SECONDS"
"""How long after its first failure a check marked `eventually` may be repeated."""

SAY_EVERY = 1.0
"""Seconds between two passed checks in the progress; a failed check is always reported."""

MESSAGE_LINES = 6
"""Number of lines that a failure shows of its assertion; the JUnit file has all."""

LONGEST_LINE = 500
"""Characters of such a line."""

MOST_BYTES = 64 * 1024 * 1024
"""Size of the lines of one run; the plugin keeps far below it."""

LONGEST_NAME = 120
"""Characters of a check's name, with its parameters, in the progress."""

Clean = Callable[[str], str]


class Share(NamedTuple):
    """Which of the runs of a server's checks this is: `at` counts from 0."""

    at: int
    of: int


WHOLE = Share(0, 1)


@dataclass(frozen=True)
class CheckResult:
    """One report of pytest about one check; a check whose teardown fails has two.

    Attributes:
        check: Its file and name without testinfra's host, such as `test_base.test_nginx[80]`.
        when: The phase that pytest reports: `collect`, `setup`, `call` or `teardown`; `run` for
            what failed outside of pytest.
        outcome: `passed`, `failed`, `skipped`, or `error` for a failure outside of `call`.
        text: Pytest's short traceback, or why the check was skipped.
        repeated: How often a check marked `eventually` was repeated.
        item: Its number in the run, from 1; 0 for what failed beside the checks.
    """

    check: str
    when: str
    outcome: str
    seconds: float
    text: str
    repeated: int
    item: int = 0

    @property
    def bad(self) -> bool:
        """Whether the check failed, or could not run."""
        return self.outcome in ("failed", "error")


class ResultReader:
    """Reads the lines of one run on a server, and reports progress.

    Attributes:
        results: In the order of the lines.
        collected: How many checks pytest found; None until it has looked.
        finished: How many of them ended, with their teardown.
        ended: Pytest's exit status as its session ended; None before that.
        cut: There is a line that cannot be read, or only the beginning of one.
    """

    def __init__(
        self, path: Path, login: Login, clean: Clean, say: Say, share: Share = WHOLE
    ) -> None:
        self.path, self.server, self.host = path, login.server, _name_host(login.host)
        self.clean, self.say, self.share = clean, say, share
        self.results: list[CheckResult] = []
        self.collected: int | None = None
        self.finished = 0
        self.ended: int | None = None
        self.cut = False
        self._damaged = False
        self._offset = 0
        self._said = 0.0

    @property
    def ran(self) -> int:
        """How many checks have a result."""
        return len({result.item for result in self.results if result.item})

    @property
    def complete(self) -> bool:
        """Whether the session ended, and each check that it collected has a result and ended."""
        whole = self.ran == self.finished == self.collected
        return self.ended is not None and not self.cut and whole

    def read_new(self) -> None:
        """Take the lines that were written since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                *lines, rest = file.read(MOST_BYTES - self._offset).split(b"\n")
                self._damaged |= file.read(1) != b""
        except OSError:
            return  # Not written yet; after the run, its absence makes the results incomplete.
        self._offset += sum(len(line) + 1 for line in lines)
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError):
                self._damaged = True
        self.cut = self._damaged or bool(rest)

    def count(self) -> ServerResult:
        """Return the server's result so far."""
        bad = [result for result in self.results if result.bad]
        # A check that passed or was skipped may still fail in its teardown.
        good = {(result.item, result.check): result for result in self.results}
        for result in bad:
            good.pop((result.item, result.check), None)
        skipped = sum(1 for result in good.values() if result.outcome == "skipped")
        repeated = {result.check: result.repeated for result in self.results if result.repeated}
        return ServerResult(
            server=self.server,
            passed=len(good) - skipped,
            failed=len(bad),
            skipped=skipped,
            failures=tuple(Failure(result.check, _explain(result.text)) for result in bad),
            repeated=tuple(f"{check} ({times} times)" for check, times in repeated.items()),
        )

    def _take(self, line: dict[str, Any]) -> None:
        if "collected" in line:
            self.collected = int(line["collected"])
        elif "finished" in line:
            self.finished = int(line["finished"])
        elif "ended" in line:
            self.ended = int(line["ended"])
        else:
            result = CheckResult(
                check=_shorten(make_printable(self.clean(line["nodeid"])), self.host),
                when=line["when"],
                outcome=line["outcome"],
                seconds=float(line["seconds"]),
                text=make_printable(self.clean(line["text"])),
                repeated=int(line["repeated"]),
                item=int(line["item"]),
            )
            self.results.append(result)
            self._report_progress(result)

    def _report_progress(self, result: CheckResult) -> None:
        now = time.monotonic()
        if not self.collected or (not result.bad and now - self._said < SAY_EVERY):
            return
        self._said = now
        name, bracket, parameters = result.check.partition("[")
        name = shorten(name.rpartition(".")[2] + bracket + parameters, LONGEST_NAME)
        done = (100 * self.share.at + 100 * self.ran // self.collected) // self.share.of
        self.say(f"{self.server}: {name} {result.outcome}, {done} % done")


def find_assertion(lines: Iterable[str]) -> str:
    """Return pytest's `E` lines, which hold the assertion or the error; empty without any."""
    found = [line[1:].strip() for line in lines if re.match(r"E(\s|$)", line)]
    return _join_first([line for line in found if line])


def _explain(text: str) -> str:
    lines = text.strip().splitlines()
    return find_assertion(lines) or _join_first(lines) or "failed"


def _join_first(lines: Sequence[str]) -> str:
    return "\n".join(map(explain_line, lines[:MESSAGE_LINES]))


def explain_line(line: str) -> str:
    """Return a line of output as a failure shows it."""
    return shorten(make_printable(line), LONGEST_LINE)


def _shorten(nodeid: str, host: str) -> str:
    """Return `sub.test_a.test_b[80]` for `sub/test_a.py::test_b[ssh://web-80]`."""
    path, bracket, parameters = nodeid.partition("[")
    file, *names = path.split("::")
    name = ".".join([file.removesuffix(".py").replace("/", "."), *names]) + bracket + parameters
    for text, short in (
        (f"[{host}]", ""),
        (f"[{host}-", "["),
        (f"-{host}]", "]"),
        (f"-{host}-", "-"),
    ):
        name = name.replace(text, short)
    return name


def _name_host(host: str) -> str:
    """Return the name that testinfra gives a host in a test's name."""
    parts = urlsplit(host)
    name = parts.netloc.rpartition("@")[2].partition(":")[0]
    return f"{parts.scheme}://{name}" if name else parts.scheme
