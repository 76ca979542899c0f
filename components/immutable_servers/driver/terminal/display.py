"""Chooses how a run is shown: plain lines, live rows in a terminal, foldable groups in CI."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.groups import GITHUB, GITLAB, Groups
from immutable_servers.driver.terminal.plain import Expected, Plain

__all__ = ["Expected", "Plain", "start_display"]


@contextmanager
def start_display(expected: Expected) -> Iterator[Plain]:
    """Yield the display that fits stderr, and close it at the end.

    In a terminal this thread's progress goes above the rows.
    """
    display = _choose(expected, os.environ)
    with console.speaking_to(display.put) if display.has_rows else nullcontext():
        try:
            yield display
        finally:
            display.close()


def _choose(expected: Expected, environment: Mapping[str, str]) -> Plain:
    if environment.get("GITHUB_ACTIONS") == "true":
        return Groups(expected, GITHUB)
    if environment.get("GITLAB_CI") == "true":
        return Groups(expected, GITLAB)
    if sys.stderr.isatty() and environment.get("TERM") != "dumb":
        from immutable_servers.driver.terminal.live import Live  # noqa: PLC0415 - rich costs 0.1 s

        return Live(expected)
    return Plain(expected)
