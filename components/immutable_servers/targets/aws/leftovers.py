"""What no stack owns in a region: a table of kinds, each found by our tags and removed alone.

In the order in which they can be removed: an instance before its security group. What says of
itself when it has to be gone is left over from then on; a fleet is when its stack's state says so.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from immutable_servers.contract.ownership import Ask, Leftover
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImageError, ImmutableError
from immutable_servers.targets.aws import access, balancer, dead_bakes, owners, retirement
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.artifacts import IMAGE, delete_ami
from immutable_servers.targets.aws.names import IMAGES, PREFIX, make_name, read_tags

ENDS: Mapping[str, str] = {
    dead_bakes.BAKE_ENDS: "a bake",
    dead_bakes.PROBE_ENDS: "a probe",
    access.ENDS: "a login window",
}
"""Tags that hold when a thing has to be gone, and what it was made for."""
ONE_DAY = 24 * 3600
"""Longer than any bake may take."""


@dataclass(frozen=True)
class Kind:
    """A kind of leftover.

    Attributes:
        find: Yields what there is now.
        remove: Removes one, by its name, that was just found again.
    """

    find: Callable[[Api, Ask], Iterator[Leftover]]
    remove: Callable[[Api, str], None]


def find_leftovers(api: Api, ask: Ask) -> list[Leftover]:
    """Return what no stack owns, in the order in which it can be removed."""
    return [one for kind in KINDS.values() for one in kind.find(api, ask)]


def remove_leftover(api: Api, leftover: Leftover, ask: Ask) -> bool:
    """Remove one after a second look; say whether it was there, and left over still.

    Raises:
        RetirementError: It is a fleet, and the load balancer sends it traffic.
    """
    kind = KINDS[leftover.kind]
    if leftover.name not in {one.name for one in kind.find(api, ask)}:
        return False
    kind.remove(api, leftover.name)
    return True


def describe_end(one: Mapping[str, Any]) -> str:
    """Return what a thing was for and when its time was over; empty while it may be in use."""
    tags = read_tags(one.get("Tags"))
    for key, what in ENDS.items():
        try:
            ends = float(tags[key])
        except (KeyError, ValueError):
            continue
        if ends < time.time():
            at = dt.datetime.fromtimestamp(ends, dt.UTC)
            return f"of {what} that had to end at {at:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _find_ended(
    kind: str, operation: str, answer: str, name: str
) -> Callable[[Api, Ask], Iterator[Leftover]]:
    """Return what yields things of one kind that have one of the tags `ENDS` and are over."""

    def find(api: Api, _ask: Ask) -> Iterator[Leftover]:
        for one in api.list("ec2", operation, answer):
            if why := describe_end(one):
                yield Leftover(kind, one[name], why)

    return find


def _find_instances(api: Api, _ask: Ask) -> Iterator[Leftover]:
    for one in dead_bakes.find_instances(api, [{"Name": "tag-key", "Values": [*ENDS]}]):
        if why := describe_end(one):
            yield Leftover("instance", one["InstanceId"], why)


def _remove_instance(api: Api, name: str) -> None:
    dead_bakes.end_instances(api, [{"InstanceId": name}])


def _remove_key_pair(api: Api, name: str) -> None:
    api.call("ec2", "delete_key_pair", KeyName=name)


def _remove_security_group(api: Api, name: str) -> None:
    dead_bakes.remove_group(api, name)


def _find_ways(api: Api, _ask: Ask) -> Iterator[Leftover]:
    for rule in _find_rules(api):
        if why := describe_end(rule):
            name = rule["SecurityGroupRuleId"]
            yield Leftover("login rule", name, f"lets in to {rule['GroupId']}, {why}")


def _find_rules(api: Api) -> list[Mapping[str, Any]]:
    groups = api.list(
        "ec2",
        "describe_security_groups",
        "SecurityGroups",
        Filters=[{"Name": "tag-key", "Values": [f"{PREFIX}project"]}],
    )
    if not groups:
        return []
    return api.list(
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules",
        Filters=[{"Name": "group-id", "Values": [one["GroupId"] for one in groups]}],
    )


def _remove_way(api: Api, name: str) -> None:
    access.revoke(api, [one for one in _find_rules(api) if one["SecurityGroupRuleId"] == name])


def _find_halves(api: Api, _ask: Ask) -> Iterator[Leftover]:
    """Yield AMIs with a name of ours and without our tags, which Packer writes last.

    Nothing proves whose they are, and the next bake of the same version removes its own.
    """
    filters = [{"Name": "name", "Values": [f"{IMAGES}/*/*"]}]
    for ami in api.list("ec2", "describe_images", "Images", Owners=["self"], Filters=filters):
        made = dt.datetime.fromisoformat(ami["CreationDate"])
        if IMAGE not in read_tags(ami.get("Tags")) and _is_old(made):
            why = f"{ami['Name']} was not finished; it has no tags of ours"
            yield Leftover("half artifact", ami["ImageId"], why, sure=False)


def _remove_half(api: Api, name: str) -> None:
    for ami in api.list("ec2", "describe_images", "Images", Owners=["self"], ImageIds=[name]):
        delete_ami(api, ami)


def _find_snapshots(api: Api, _ask: Ask) -> Iterator[Leftover]:
    """Yield snapshots with our tags that no AMI of this account holds any more."""
    filters = [{"Name": "tag-key", "Values": [IMAGE]}]
    found = api.list("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
    if not found:
        return
    held = {
        disk.get("Ebs", {}).get("SnapshotId")
        for ami in api.list("ec2", "describe_images", "Images", Owners=["self"])
        for disk in ami.get("BlockDeviceMappings", [])
    }
    for one in found:
        if one["SnapshotId"] not in held and _is_old(one["StartTime"]):
            image = read_tags(one["Tags"])[IMAGE]
            size = int(one["VolumeSize"]) * 1024**3
            yield Leftover("snapshot", one["SnapshotId"], f"of {image}; its AMI is gone", size)


def _remove_snapshot(api: Api, name: str) -> None:
    missing = ("InvalidSnapshot.NotFound",)
    api.call("ec2", "delete_snapshot", missing=missing, kind=ImageError, SnapshotId=name)


def _find_fleets(api: Api, ask: Ask) -> Iterator[Leftover]:
    """Yield Auto Scaling groups of ours that their stack's state does not know."""
    filters = [{"Name": "tag-key", "Values": [f"{PREFIX}generation"]}]
    found = api.list(
        "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", Filters=filters
    )
    stacks: dict[Scope, Any] = {}
    for group in found:
        scope = _read_scope(group)
        if make_name(scope) != group["AutoScalingGroupName"]:
            continue
        stack = Scope(scope.project, scope.stack)
        if stack not in stacks:
            stacks[stack] = ask(owners.find_owner(api, stack))
        held, title = stacks[stack], f"{scope.service}-{scope.generation}"
        if title in held.names or held.run == "under way":
            continue
        weight = _find_weight(api, scope)
        doubt = f"not asked: {held.unasked}" if held.unasked else ""
        doubt = doubt or ("a run may be under way" if held.run == "unknown" else "")
        why = [doubt or "the stack's state does not know it"]
        why += [f"the load balancer sends it {weight} % of the traffic"] if weight else []
        name = f"{scope.project}/{scope.stack}/{title}"
        yield Leftover("fleet", name, "; ".join(why), sure=not weight and not doubt)


def _remove_fleet(api: Api, name: str) -> None:
    project, stack, title = name.split("/")
    service, _, generation = title.rpartition("-")
    retirement.delete_fleet(api, Scope(project, stack, service, generation))


def _read_scope(group: Mapping[str, Any]) -> Scope:
    tags = read_tags(group["Tags"])
    words = ("project", "stack", "service", "generation")
    return Scope(*(tags.get(f"{PREFIX}{word}", "") for word in words))


def _find_weight(api: Api, scope: Scope) -> int:
    """Return the share of the traffic that a generation has; all of it when nobody can say."""
    try:
        return balancer.find_traffic(api, scope).get(scope.generation, 0)
    except ImmutableError:
        return 100


def _is_old(made: dt.datetime) -> bool:
    return time.time() - made.timestamp() > ONE_DAY


KINDS: Mapping[str, Kind] = {
    "instance": Kind(_find_instances, _remove_instance),
    "key pair": Kind(
        _find_ended("key pair", "describe_key_pairs", "KeyPairs", "KeyName"), _remove_key_pair
    ),
    "login rule": Kind(_find_ways, _remove_way),
    "security group": Kind(
        _find_ended("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
        _remove_security_group,
    ),
    "half artifact": Kind(_find_halves, _remove_half),
    "snapshot": Kind(_find_snapshots, _remove_snapshot),
    "fleet": Kind(_find_fleets, _remove_fleet),
}
