"""Bakes by the real Packer with its real digitalocean plugin and the project's own templates."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clouds.shared_tests.bakes import Bakes
from harness.digitalocean.cloud import Cloud
from harness.digitalocean.do_project import DEBIAN, DoProject
from harness.emulated_cloud import find_calls
from immutable_servers.targets.cloud.bakes import read_bake
from immutable_servers.targets.digitalocean.names import read_scope

DIGITS = 64
"""Of a digest."""
USES = ("droplets", "firewalls", "account/keys", "tags")
"""What bakes make beside snapshots."""


class TestBakes(Bakes[DoProject]):
    """A snapshot says by its description what it is; a droplet that comes late ends no bake."""

    identity = "id"
    deletes_image = "images.delete"

    @pytest.fixture(autouse=True)
    def _hide_a_droplet(self, cloud: Cloud) -> None:
        """Have Packer's plugin not find its first droplet: the bake begins again."""
        cloud.set_fault("droplets.get", "not_found")

    def see_the_image(self, found: Mapping[str, Any], lineage: Mapping[str, Any]) -> None:
        """Its description holds digest and parents, and it fits on the smallest disk."""
        said = json.loads(found["description"])
        assert said["parents"] == lineage["parents"]
        assert len(said["digest"]) == DIGITS
        assert (found["min_disk_size"], found["tags"]) == (25, [])

    def see_the_bakes(
        self,
        project: DoProject,
        sources: Sequence[str],
        app: str,
        events: Sequence[Mapping[str, Any]],
    ) -> None:
        """Each has a firewall and a key of its own, and nothing of them is left."""
        debian = project.cloud.ask("GET", f"images/{DEBIAN}").body["image"]["id"]
        wanted = [debian if one == DEBIAN else one for one in sources]
        calls = find_calls(project.cloud.read_all(), project.calls.make_server)
        asked = [one["body"] for one in calls if read_bake(one["body"]["name"])]
        # The one that was not found, and the stopped one's, first.
        assert [one["image"] for one in asked] == [wanted[0]] * 2 + wanted
        for one in asked:
            assert_baked_safely(project.cloud, one)
        left = [one["name"] for kind in USES for one in project.find_all(kind)]
        assert [name for name in left if read_bake(name)] == []

    def find_servers(self, project: DoProject) -> list[tuple[str, str, str]]:
        """Return stack, service and image of the droplets."""
        return [
            (scope.stack, scope.service, one["image"]["id"])
            for one in project.find_all("droplets")
            if (scope := read_scope(one["tags"]))
        ]


def assert_baked_safely(cloud: Cloud, asked: Mapping[str, Any]) -> None:
    """Assert what DigitalOcean was asked for a bake's droplet."""
    assert asked["with_droplet_agent"] is False
    assert not asked["ipv6"]
    events = cloud.read_all()
    (firewall,) = (
        one["body"]
        for one in find_calls(events, "firewalls.create")
        if one["body"]["name"] == asked["name"]
    )
    assert firewall["tags"] == asked["tags"]
    assert firewall["inbound_rules"][0]["sources"]["addresses"] == ["127.0.0.1/32"]
    (key,) = (
        one["body"]["public_key"]
        for one in find_calls(events, "sshKeys.create")
        if one["body"]["name"] == asked["name"]
    )
    assert len(asked["ssh_keys"]) == 1
    if launch := json.loads(asked.get("user_data") or "{}"):
        assert launch["login_key"] == key
