"""A project of its own for each test, which this process's calls go to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.gcp.cloud import start_cloud
from harness.gcp.gcp_world import World, enter_world
from harness.gcp.roles import find_refused


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield an emulated project with a load balancer, and roles that allow what is done there."""
    with start_cloud(tmp_path / "cloud") as cloud, enter_world(cloud) as world:
        world.make_balancer()
        yield world
        assert find_refused(cloud.read_all()) == set()
