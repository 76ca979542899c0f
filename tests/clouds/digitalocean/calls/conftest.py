"""An account of its own for each test, which this process's calls go to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.digitalocean.cloud import start_cloud
from harness.digitalocean.do_world import World, enter_world
from harness.digitalocean.roles import find_refused


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield an emulated account with a load balancer, and scopes that allow what is done there."""
    with start_cloud(tmp_path / "cloud") as cloud, enter_world(cloud) as world:
        world.make_balancer()
        yield world
        assert find_refused(cloud.read_all()) == set()
