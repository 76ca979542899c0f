"""Bakes by the real Packer with its real googlecompute plugin and the project's own templates."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clouds.shared_tests.bakes import Bakes
from harness.gcp.cloud import ZONES, find_calls
from harness.gcp.gcp_project import GcpProject
from immutable_servers.targets.gcp.names import LABELS


class TestBakes(Bakes[GcpProject]):
    """An image says by labels and description what it is; a full zone is left for the next one."""

    identity = "name"
    deletes_image = "compute.images.delete"
    crowded: ClassVar[Mapping[str, Any]] = {"no_room": {ZONES[0]: "ZONE_RESOURCE_POOL_EXHAUSTED"}}

    def see_the_image(self, found: Mapping[str, Any], lineage: Mapping[str, Any]) -> None:
        """Its labels hold version and manifest, and its description the parents."""
        image, words = lineage["image"], LABELS.read(found["labels"])
        assert (words["image"], words["version"]) == (image, lineage["version"])
        assert LABELS.unpack("manifest-", found["labels"])["image"] == image
        assert (found["family"], found["architecture"]) == (f"im-{image}", "X86_64")
        assert json.loads(found["description"])["parents"] == lineage["parents"]

    def see_the_bakes(
        self,
        project: GcpProject,
        sources: Sequence[str],
        app: str,
        events: Sequence[Mapping[str, Any]],
    ) -> None:
        """Google ends each by itself; no disk is left, and no rule that lets somebody in."""
        bakes = [
            call["body"]
            for call in find_calls(project.cloud.read_all(), project.calls.make_server)
            if call["body"]["name"].startswith("bake-")
        ]
        started = [one["disks"][0]["initializeParams"]["sourceImage"] for one in bakes]
        # The stopped one's first.
        assert [one.rpartition("/")[2] for one in started] == [sources[0], *sources]
        for one in bakes:
            assert_baked_safely(one)
        rules = [rule["name"] for rule in project.find_all("firewalls")]
        assert [name for name in rules if name.startswith("bake-")] == []

    def find_servers(self, project: GcpProject) -> list[tuple[str, str, str]]:
        """Return stack, service and image of the instances; there is no other disk than theirs."""
        disks = {one["name"]: one["sourceImage"] for one in project.list_everywhere("disks")}
        found = [
            (one["labels"], disks.pop(one["disks"][0]["source"].rpartition("/")[2]))
            for one in project.list_everywhere("instances")
        ]
        assert disks == {}
        return [
            (labels["immutable-stack"], labels["immutable-service"], image.rpartition("/")[2])
            for labels, image in found
        ]


def assert_baked_safely(asked: Mapping[str, Any]) -> None:
    """Assert what Google was asked for a bake's instance."""
    assert asked["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert int(asked["scheduling"]["maxRunDuration"]["seconds"]) > 0
    assert set(asked["shieldedInstanceConfig"].values()) == {True}
    assert asked["serviceAccounts"] in ([{}], [])
    assert asked["tags"]["items"] == [asked["name"]]
    metadata = {item["key"]: item["value"] for item in asked["metadata"]["items"]}
    assert metadata["block-project-ssh-keys"] == "TRUE"
    assert metadata["enable-oslogin"] == "FALSE"
    assert ("ssh-keys" in metadata) != ("immutable-launch" in metadata)
