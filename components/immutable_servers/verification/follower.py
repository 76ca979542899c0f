"""Says the results of checks while they come, from pytest's own lines."""

import re
import time
from collections.abc import MutableSequence

from immutable_servers.contract.values import Say

SAY_EVERY = 1.0
"""At most one passed check in this many seconds is said; a failed one at once."""

RESULT = re.compile(
    r"\S+::(?P<check>[^\s\[]+)\S*( <- \S+)? (?P<result>PASSED|FAILED|ERROR|SKIPPED)\b.*?"
    r"\[ *(?P<percent>\d+)%\]"
)
"""Such as `test_app.py::test_nginx[ssh://web-3f2a9c41-0] PASSED [ 12%]`, of `pytest -v`."""


class Follower:
    """Keeps the lines of one server's run, and says its results."""

    def __init__(self, server: str, lines: MutableSequence[str], say: Say) -> None:
        self.server = server
        self.lines = lines
        self.say = say
        self.said = 0.0

    def __call__(self, line: str) -> None:
        """Take one line."""
        self.lines.append(line)
        found = RESULT.match(line)
        if found is None:
            return
        passed = found["result"] in ("PASSED", "SKIPPED")
        if passed and time.monotonic() - self.said < SAY_EVERY:
            return
        self.said = time.monotonic()
        result = found["result"].lower()
        self.say(f"{self.server}: {found['check']} {result}, {found['percent']} % done")


EXPECTED_VARIABLE = "IMMUTABLE_EXPECTED"
"""Names a JSON file with what is expected of the server under test."""

SECONDS_VARIABLE = "IMMUTABLE_EVENTUALLY_SECONDS"
"""How long after its first failure a check marked `eventually` may be repeated."""

REPEATED = "repeated"
"""The JUnit property that says how often a check was repeated."""
