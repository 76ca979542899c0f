"""What all rings share."""

import signal

import pytest

LONG = "long"
"""The mark of what only runs for who names it."""


def pytest_configure() -> None:
    """Take SIGINT as a terminal's process does, whoever started the tests.

    A shell starts its background jobs with SIGINT ignored (POSIX, "Signals and Error Handling"),
    and what we start would inherit that: then no test could interrupt anything.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes ten minutes, unless `-m` names its mark."""
    if LONG in config.option.markexpr.split():
        return
    left = [item for item in items if item.get_closest_marker(LONG)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
