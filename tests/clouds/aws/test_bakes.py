"""Bakes by the real Packer with its real amazon plugin and the project's own templates.

What Packer asks of the API, writes and cleans up is real; the instance only notes what it is told
to do, since what a provisioner does to a disk is what the local target's bakes prove.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.bakes import BUILDER, lock_upstream, needs_the_plugin, offer_debian
from harness.aws.cloud import REGION, Cloud, find_calls
from harness.checkout import ROOT
from immutable_servers.targets.aws.images import MANIFEST
from immutable_servers.targets.aws.names import PREFIX, TAGS, name_image, read_tags

ABROAD = "eu-west-1"


@pytest.fixture(autouse=True)
def _needs_the_plugin() -> None:
    """Skip where it is missing."""
    needs_the_plugin()


def list_images(cloud: Cloud, region: str) -> dict[str, dict[str, Any]]:
    """Return our AMIs of a region by name."""
    found = cloud.client("ec2", region).describe_images(Owners=["self"])["Images"]
    return {ami["Name"]: ami for ami in found}


def test_what_packer_bakes_serves(tmp_path: Path, cloud: Cloud) -> None:
    """One run bakes both images, tagged, copied and alone, and launches servers from the second."""
    project = AwsProject.create(tmp_path, cloud, packer=ROOT / "packer")
    upstream = offer_debian(cloud)
    lock_upstream(project, upstream)
    project.aws |= {"copy_to": [ABROAD], "verify_from": [BUILDER]}
    project.variables = {"ssh_port": "2222"}
    project.write_settings()
    versions = project.compute_versions()
    done = project.up()
    assert done.code == 0, done.text

    amis = list_images(cloud, REGION)
    names = {image: name_image(image, version) for image, version in versions.items()}
    assert {*amis} == {*names.values()}
    for image, name in names.items():
        tags = read_tags(amis[name]["Tags"])
        assert tags[f"{PREFIX}image"] == image
        assert tags[f"{PREFIX}version"] == versions[image]
        assert TAGS.unpack(MANIFEST, tags)["image"] == image
        assert name in list_images(cloud, ABROAD)
    parents = json.loads(amis[names["app"]]["Description"])["parents"]
    assert parents == {"base": versions["base"]}

    started = [call["ImageId"] for call in find_calls(done.events, "ec2.RunInstances")]
    assert started == [upstream, amis[names["base"]]["ImageId"]]
    (template,) = find_calls(done.events, "ec2.CreateLaunchTemplate")
    assert template["LaunchTemplateData.ImageId"] == amis[names["app"]]["ImageId"]
    opened = find_calls(done.events, "ec2.AuthorizeSecurityGroupIngress")
    ways = [call for call in opened if call["IpPermissions.1.FromPort"] == "2222"]
    assert {call["IpPermissions.1.IpRanges.1.CidrIp"] for call in ways} == {BUILDER}
    assert cloud.client("ec2").describe_key_pairs()["KeyPairs"] == []
    running = cloud.find_running()
    assert len(running) == 2
    assert {read_tags(one["Tags"])[f"{PREFIX}service"] for one in running} == {"web"}
    project.ask_three_questions()
