"""The target of this folder's tests."""

import pytest

from harness.cloud_project import UnderTest
from harness.digitalocean.cloud import POLITE, start_cloud
from harness.digitalocean.do_project import DoProject


@pytest.fixture(scope="session")
def under_test() -> UnderTest:
    """Return the emulated account, and the projects on it."""
    return UnderTest(start_cloud, POLITE, DoProject)
