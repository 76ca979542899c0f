"""The target of this folder's tests."""

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import POLITE, start_cloud
from harness.cloud_project import UnderTest


@pytest.fixture(scope="session")
def under_test() -> UnderTest:
    """Return the emulated cloud, and the projects on it."""
    return UnderTest(start_cloud, POLITE, AwsProject)
