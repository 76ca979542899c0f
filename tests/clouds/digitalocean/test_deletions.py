"""Deletions on an emulated account where somebody has changed something by hand."""

from dataclasses import replace
from pathlib import Path

from harness.cloud_world import WEB
from harness.digitalocean.cloud import start_cloud
from harness.digitalocean.do_world import enter_world
from immutable_servers.targets.digitalocean.names import tag_service

OLD = replace(WEB, generation="3f2a9c41")


def test_a_droplet_that_lost_its_services_tag_goes_with_its_generation(tmp_path: Path) -> None:
    """Else it would run on, without a tag that says whose it is, as the generation's go last."""
    with start_cloud(tmp_path) as cloud, enter_world(cloud) as world:
        world.make_balancer()
        world.make_fleet(OLD)
        first = min(one["id"] for one in world.find_droplets(OLD).values())
        world.tag(tag_service(OLD), first, verb="DELETE")
        world.make_target().fleets.delete(OLD)
        assert world.find_all("droplets") == []
        assert world.find_left(OLD) == []
