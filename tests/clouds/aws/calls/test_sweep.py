"""What no stack owns at AWS: found by our tags, removed alone, and everything else stays."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from harness.aws.aws_world import (
    REGION,
    STACK,
    WEB,
    World,
    find_client,
    make_target,
    start_emulation,
)
from immutable_servers.contract.ownership import Holdings, Leftover, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import RetirementError
from immutable_servers.targets.aws.names import PREFIX, list_tags, make_tags, name_image
from immutable_servers.targets.cloud import ends

OWNER = Owner("file:///state", "0a1b", "organization", STACK.project, STACK.stack, "/checkout")
BAKE, BAKE_ENDS, PROBE_ENDS = (f"{PREFIX}{word}" for word in ("bake", ends.BAKE, ends.PROBE))
OVER, ALIVE = str(int(time.time() - 60)), str(int(time.time() + 600))
OTHER: Mapping[str, str] = {"immutable": "bake", "expires": OVER}
"""Tags of somebody else's."""


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run on an emulated account, where a thing is old at once."""
    monkeypatch.setattr(ends, "ONE_DAY", -1)
    with start_emulation():
        yield


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


def know(*names: str, exists: bool = True, run: Any = "none") -> Any:  # noqa: ANN401 - an Ask
    """Return what asks a state that holds these names."""
    return lambda _owner: Holdings(exists=exists, names=frozenset(names), run=run)


def sweep(ask: Any) -> list[str]:  # noqa: ANN401 - an Ask
    """Remove all that is surely left over; return its names."""
    target = make_target()
    sure = [one for one in target.ownership.find_leftovers(ask) if one.sure]
    assert all(target.ownership.remove_leftover(one, ask) for one in sure)
    assert not any(target.ownership.remove_leftover(one, ask) for one in sure)
    return [one.name for one in sure]


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


def test_what_a_killed_bake_left_goes_and_all_else_stays() -> None:
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
    assert set(sweep(know())) == gone
    assert list_left() >= kept
    assert not list_left() & gone


def test_the_way_of_a_killed_verification_is_closed() -> None:
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
    assert len(sweep(know())) == 1
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [rule["FromPort"] for rule in rules] == [80]


def test_half_artifacts_go_only_by_name_and_orphaned_snapshots_go() -> None:
    """An AMI that Packer did not tag is listed; a tagged snapshot without an AMI is removed.

    A finished AMI with its snapshot, and snapshots of others, are none of it.
    """
    ec2 = find_client("ec2")
    (half, _), (whole, _) = (make_ami(name_image("app", one * 12)) for one in "ab")
    ec2.create_tags(Resources=[whole], Tags=list_tags({f"{PREFIX}image": "app"}))
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8)["VolumeId"]
    ours, others = (
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=tag("snapshot", tags))["SnapshotId"]
        for tags in ({f"{PREFIX}image": "app"}, OTHER)
    )
    target = make_target()
    assert {one.name: one.sure for one in target.ownership.find_leftovers(know())} == {
        half: False,
        ours: True,
    }
    assert sweep(know()) == [ours]
    assert target.ownership.remove_leftover(Leftover("half artifact", half, ""), know())
    assert not target.ownership.remove_leftover(Leftover("half artifact", whole, ""), know())
    assert [one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]] == [whole]
    left = {one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert others in left
    assert ours not in left


def make_ami(name: str) -> tuple[str, str]:
    """Make an AMI of an instance; return it and its snapshot."""
    ec2 = find_client("ec2")
    instance, *_ = make_bake({}, name.replace("/", "-"))
    made: str = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
    (found,) = ec2.describe_images(ImageIds=[made])["Images"]
    return made, found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def test_a_fleet_that_its_state_does_not_know_goes() -> None:
    """It goes with its launch template; one that is known, serves, or cannot be asked about stays.

    The state that is asked is the one that the stack's load balancer names.
    """
    world = World()
    world.make_balancer()
    known, lost, live = (
        Scope(WEB.project, WEB.stack, WEB.service, one * 8) for one in ("a", "b", "c")
    )
    groups = {scope: world.make_fleet(scope, 1) for scope in (known, lost, live)}
    world.client("elbv2").modify_listener(
        ListenerArn=world.listener,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[live]}],
    )
    target, asked = make_target(), []
    target.ownership.begin_update(OWNER, [])

    def ask(owner: Owner | None) -> Holdings:
        asked.append(owner)
        return Holdings(exists=True, names=frozenset(("web-aaaaaaaa",)))

    found = {one.name: one.sure for one in target.ownership.find_leftovers(ask)}
    assert found == {"project/dev/web-bbbbbbbb": True, "project/dev/web-cccccccc": False}
    assert asked == [OWNER]
    assert target.ownership.find_leftovers(know("web-aaaaaaaa", run="under way")) == []
    unsure = target.ownership.find_leftovers(
        lambda _owner: Holdings(unasked="its state is elsewhere")
    )
    assert [one.sure for one in unsure] == [False, False, False]
    with pytest.raises(RetirementError, match="still serves"):
        target.ownership.remove_leftover(Leftover("fleet", "project/dev/web-cccccccc", ""), ask)
    assert target.fleets.find(WEB).keys() == {"aaaaaaaa", "bbbbbbbb", "cccccccc"}


def test_the_owner_is_kept_with_the_load_balancer() -> None:
    """It is what the last update wrote; none before the first, and none from damaged tags."""
    world, target = World(), make_target()
    target.ownership.begin_update(OWNER, [])
    assert target.ownership.find_owner(STACK) is None
    world.make_balancer()
    target.ownership.begin_update(OWNER, [])
    assert target.ownership.find_owner(STACK) == OWNER
    moved = Owner("s3://state", "ffff", "organization", "project", "dev", "/é (new)/" + "x" * 900)
    target.ownership.begin_update(moved, [])
    assert target.ownership.find_owner(STACK) == moved
    target.ownership.begin_update(OWNER, [])
    assert target.ownership.find_owner(STACK) == OWNER
    assert target.ownership.find_owner(Scope("other", "dev")) is None
    world.client("elbv2").add_tags(
        ResourceArns=[world.balancer], Tags=[{"Key": f"{PREFIX}owner-00", "Value": "damaged"}]
    )
    assert target.ownership.find_owner(STACK) is None
