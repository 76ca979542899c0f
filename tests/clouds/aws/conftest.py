"""An emulated cloud for each test, which ends with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud import Cloud, start_cloud
from left_processes import leaves_no_process  # noqa: F401 - a fixture that each test uses


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Return an empty cloud of the test's own."""
    with start_cloud(tmp_path / "cloud") as cloud:
        yield cloud
