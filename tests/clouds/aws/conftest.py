"""An emulated cloud for each test, which ends with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.aws.cloud import Cloud, start_cloud
from harness.aws.policies import find_refused, find_untagged
from harness.left_processes import leaves_no_process  # noqa: F401 - a fixture that each test uses

OTHER_PROGRAMS = ("test_plugin",)
"""Modules whose program is not ours: it uses what ours leaves alone."""


@pytest.fixture
def cloud(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """Return an empty cloud of the test's own; the how-to's policies allow all that is done there.

    That is asked for our code, the plugin and Packer; what a test does by itself is a user's.
    """
    with start_cloud(tmp_path / "cloud") as cloud:
        yield cloud
        if request.path.stem not in OTHER_PROGRAMS:
            events = cloud.read_all()
            assert find_refused(events) == set()
            assert find_untagged(events) == set()
