"""What no stack owns at AWS: found by our tags, removed alone, and everything else stays."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from clouds.shared_tests.sweep import Sweep, find, know, sweep
from harness.aws.aws_world import REGION, World, find_client, make_target, start_emulation
from immutable_servers.contract.ownership import Leftover
from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws.names import PREFIX, list_tags, make_tags, name_image, read_tags
from immutable_servers.targets.cloud import ends

BAKE, BAKE_ENDS, PROBE_ENDS = (f"{PREFIX}{word}" for word in ("bake", ends.BAKE, ends.PROBE))
OVER, ALIVE = str(int(time.time() - 60)), str(int(time.time() + 600))
OTHER: Mapping[str, str] = {"immutable": "bake", "expires": OVER}
"""Tags of somebody else's."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Run on an emulated account with a load balancer, where a thing is old at once."""
    monkeypatch.setattr(ends, "ONE_DAY", -1)
    with start_emulation():
        made = World()
        made.make_balancer()
        yield made


def tag(kind: str, tags: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """Return the argument that tags at creation."""
    return [{"ResourceType": kind, "Tags": list_tags(tags)}] if tags else []


def make_bake(tags: Mapping[str, str], name: str) -> tuple[str, str, str]:
    """Make what Packer makes for a bake: security group, key pair and instance."""
    ec2 = find_client("ec2")
    group: str = ec2.create_security_group(
        GroupName=name, Description="a bake", TagSpecifications=tag("security-group", tags)
    )["GroupId"]
    ec2.create_key_pair(KeyName=name, TagSpecifications=tag("key-pair", tags))
    instance: str = ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=[group],
        TagSpecifications=tag("instance", tags),
    )["Instances"][0]["InstanceId"]
    return instance, name, group


def list_left() -> set[str]:
    """Return the instances, key pairs and security groups that there are."""
    ec2 = find_client("ec2")
    reservations = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
    )["Reservations"]
    return {
        *(one["InstanceId"] for found in reservations for one in found["Instances"]),
        *(one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"]),
        *(one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]),
    }


def test_what_a_killed_bake_left_goes_and_all_else_stays(world: World) -> None:
    """Instance, key and group of a bake or probe whose time is over go; no live one's, no other's.

    A thing of ours whose tag is damaged proves nothing, and stays too.
    """
    dead = {BAKE: "app", BAKE_ENDS: OVER}
    gone = {*make_bake(dead, "dead"), *make_bake({PROBE_ENDS: OVER}, "probe")}
    kept = {
        *make_bake({**dead, BAKE_ENDS: ALIVE}, "alive"),
        *make_bake({BAKE: "app"}, "endless"),
        *make_bake({BAKE_ENDS: "soon"}, "damaged"),
        *make_bake(OTHER, "other"),
        *make_bake({}, "untagged"),
    }
    assert {name.rpartition(" ")[2] for name in sweep(world, know())} == gone
    assert list_left() >= kept
    assert not list_left() & gone


def test_the_way_of_a_killed_verification_is_closed(world: World) -> None:
    """A login rule of any of our stacks goes when its window is over; nothing else of the group."""
    ec2, scope = find_client("ec2"), Scope("project", "dev", "web", "aaaaaaaa")
    group = ec2.create_security_group(
        GroupName="servers",
        Description="servers",
        TagSpecifications=tag("security-group", make_tags(scope)),
    )["GroupId"]
    make_target().access.let_in(group, scope, int(OVER))
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/8"
    )
    assert len(sweep(world, know())) == 1
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [rule["FromPort"] for rule in rules] == [80]


def test_what_a_killed_bake_left_of_an_image_goes(world: World) -> None:
    """An AMI with a bake's tags that is not finished goes when its time is over, or a snapshot.

    An AMI of our name without any tag is only listed: nobody knows whose it is. A tagged snapshot
    without an AMI goes. Finished AMIs, what a bake makes now and things of others are none of it.
    """
    ec2 = find_client("ec2")
    baked = {BAKE: "app", f"{PREFIX}version": "d" * 12}
    dead, alive = {**baked, BAKE_ENDS: OVER}, {**baked, BAKE_ENDS: ALIVE}
    half, nameless, pending, whole = (
        make_ami(name_image("app", version * 12), tags)
        for version, tags in (
            ("a", dead),
            ("b", {}),
            ("c", alive),
            ("d", {**dead, f"{PREFIX}image": "app"}),
        )
    )
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8)["VolumeId"]
    ours, unfinished, making, others = (
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=tag("snapshot", tags))["SnapshotId"]
        for tags in ({**dead, f"{PREFIX}image": "app"}, dead, alive, OTHER)
    )
    target = make_target()
    sure = {half: True, ours: True, unfinished: True}
    assert find(world, know()) == {**sure, nameless: False}
    assert {name.rpartition(" ")[2] for name in sweep(world, know())} == {*sure}
    assert target.ownership.remove_leftover(Leftover("half artifact", nameless, ""), know())
    for kept in (pending, whole):
        assert not target.ownership.remove_leftover(Leftover("half artifact", kept, ""), know())
    left = {one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]}
    assert left == {pending, whole}
    snapshots = {
        one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    }
    assert {making, others} <= snapshots
    assert not snapshots & {ours, unfinished}


def make_ami(name: str, tags: Mapping[str, str]) -> str:
    """Make an AMI of an instance."""
    ec2 = find_client("ec2")
    instance, *_ = make_bake({}, name.replace("/", "-"))
    made: str = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
    if tags:
        ec2.create_tags(Resources=[made], Tags=list_tags(tags))
    return made


class TestSweep(Sweep[World]):
    """The owner is in the tags of the stack's load balancer."""

    longest = 900
    first_word = f"{PREFIX}owner-00"

    def put_word(self, world: World, key: str, value: str) -> None:
        """Tag the load balancer."""
        tags = list_tags({key: value})
        world.client("elbv2").add_tags(ResourceArns=[world.balancer], Tags=tags)

    def find_words(self, world: World) -> Mapping[str, str]:
        """Return its tags."""
        found = world.client("elbv2").describe_tags(ResourceArns=[world.balancer])
        return read_tags(found["TagDescriptions"][0]["Tags"])
