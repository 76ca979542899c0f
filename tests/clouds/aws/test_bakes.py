"""Bakes by the real Packer with its real amazon plugin and the project's own templates.

Instances are emulated, so a provisioner's commands are noted and not run: what is asked of Amazon
is real, and so is what runs here. What a provisioner does to a disk is shown by `test_machines.py`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clouds.shared_tests.bakes import Bakes
from harness.aws.aws_project import AwsProject
from harness.aws.cloud import find_calls
from harness.aws.policies import CALLERS
from harness.cloud_project import BUILDER
from immutable_servers.targets.aws.names import PREFIX, TAGS, read_tags
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.cloud.images import MANIFEST


class TestBakes(Bakes[AwsProject]):
    """An AMI says by its tags what it is, and its snapshot is encrypted from the first block."""

    identity = "ImageId"
    deletes_image = "ec2.DeregisterImage"

    def see_the_image(self, found: Mapping[str, Any], lineage: Mapping[str, Any]) -> None:
        """Its tags hold version, parents and manifest."""
        tags = read_tags(found["Tags"])
        assert tags[f"{PREFIX}image"] == lineage["image"]
        assert tags[f"{PREFIX}version"] == lineage["version"]
        assert TAGS.unpack(MANIFEST, tags)["image"] == lineage["image"]
        assert json.loads(tags.get(f"{PREFIX}parents", "{}")) == lineage["parents"]

    def see_the_bakes(
        self,
        project: AwsProject,
        sources: Sequence[str],
        app: str,
        events: Sequence[Mapping[str, Any]],
    ) -> None:
        """Each was open to who bakes alone, and left nothing but its image."""
        ec2 = project.cloud.client("ec2")
        assert_encrypted_from_the_first_block(events)
        snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        made = [(read_tags(one.get("Tags", ())), one["Encrypted"]) for one in snapshots]
        ours = [(tags[f"{PREFIX}image"], safe) for tags, safe in made if f"{PREFIX}image" in tags]
        assert sorted(ours) == [("app", True), ("base", True)]

        started = [call["ImageId"] for call in find_calls(events, "ec2.RunInstances")]
        assert started == [*sources]
        (template,) = find_calls(events, "ec2.CreateLaunchTemplate")
        assert template["LaunchTemplateData.ImageId"] == app
        opened = find_calls(events, "ec2.AuthorizeSecurityGroupIngress")
        ways = [call for call in opened if call["IpPermissions.1.FromPort"] == "2222"]
        assert {call["IpPermissions.1.IpRanges.1.CidrIp"] for call in ways} == {BUILDER}
        assert ec2.describe_key_pairs()["KeyPairs"] == []
        bakers = [{"Name": "tag-key", "Values": [f"{PREFIX}{bakes.BAKE}"]}]
        assert ec2.describe_security_groups(Filters=bakers)["SecurityGroups"] == []

    def find_servers(self, project: AwsProject) -> list[tuple[str, str, str]]:
        """Return stack, service and AMI of the instances that run."""
        running = [(read_tags(one["Tags"]), one["ImageId"]) for one in project.cloud.find_running()]
        return [(tags[f"{PREFIX}stack"], tags[f"{PREFIX}service"], ami) for tags, ami in running]

    def test_a_preview_refuses_a_disk_that_is_smaller_than_the_image(
        self, project: AwsProject
    ) -> None:
        """With both sizes; what serves goes on, and the next run with the old setting is clean."""
        assert project.run().code == 0
        project.own |= {"volume": 4}
        project.write_settings()
        project.run(preview=True).assert_failed(
            "smaller than the image app", "volume: 4 GiB", ": 8 GiB"
        )
        del project.own["volume"]
        project.write_settings()
        project.ask_three_questions()


def assert_encrypted_from_the_first_block(events: Sequence[Mapping[str, Any]]) -> None:
    """Assert that each bake made one encrypted disk and one snapshot, both tagged as it made them.

    Nothing was copied, renamed, shared or deleted, so that no other snapshot ever existed.
    """
    for run in find_calls(events, "ec2.RunInstances"):
        assert run["CreditSpecification.CpuCredits"] == "unlimited"
        disk = {
            name.removeprefix("BlockDeviceMapping.1."): value
            for name, value in run.items()
            if name.startswith("BlockDeviceMapping.")
        }
        assert disk == {
            "DeviceName": "/dev/xvda",
            "Ebs.DeleteOnTermination": "true",
            "Ebs.Encrypted": "true",
            "Ebs.VolumeType": "gp3",
        }
    tagged = {f"{PREFIX}{word}" for word in (bakes.BAKE, bakes.HOST, bakes.VERSION, ends.BAKE)}
    for made in find_calls(events, "ec2.CreateImage"):
        for kind in "12":  # image and snapshot
            keys = {made[f"TagSpecification.{kind}.Tag.{one}.Key"] for one in range(1, 6)}
            assert keys == tagged | {"Name"}
    calls = [event for event in events if event["event"] == "api"]
    called = {event["call"] for event in calls if CALLERS.search(event["agent"])}
    assert not called & {
        f"ec2.{name}"
        for name in (
            *("CopyImage", "CopySnapshot", "CreateSnapshot", "DeleteSnapshot", "DeregisterImage"),
            *("ModifyImageAttribute", "ModifySnapshotAttribute", "RegisterImage"),
        )
    }
