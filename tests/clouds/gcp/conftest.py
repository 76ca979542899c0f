"""The target of this folder's tests."""

import pytest

from harness.cloud_project import UnderTest
from harness.gcp.cloud import POLITE, start_cloud
from harness.gcp.gcp_project import GcpProject


@pytest.fixture(scope="session")
def under_test() -> UnderTest:
    """Return the emulated cloud, and the projects on it."""
    return UnderTest(start_cloud, POLITE, GcpProject)
