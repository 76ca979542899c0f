"""What the tests of the gcp target share: a scripted Google."""

from collections.abc import Iterator

import pytest

from harness.gcp.scripted import PLACE, Google, start_google
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.api import Api


@pytest.fixture
def google() -> Iterator[Google]:
    """Yield a Google without any answer."""
    with start_google() as scripted:
        yield scripted


@pytest.fixture
def api(google: Google) -> Api:
    """Return what asks the scripted Google, with one try for each call."""
    del google
    return GcpTarget({**PLACE, "attempts": 1}).api
