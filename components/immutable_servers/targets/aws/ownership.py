"""Keeps owners in tags of load balancers, and finds what no stack owns in a region.

What carries its own end is left over from then on; a fleet is when its stack's state does not know
it.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from immutable_servers.contract.ownership import Kind, Leftover, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.access import AwsAccess
from immutable_servers.targets.aws.amis import IMAGE, delete_ami, delete_snapshot
from immutable_servers.targets.aws.api import ALIVE
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.names import (
    IMAGES,
    PREFIX,
    TAGS,
    list_tags,
    read_tags,
    read_words,
    where,
)
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.cloud.ends import (
    ENDS,
    Thing,
    describe_end,
    is_old,
    make_kind,
)
from immutable_servers.targets.cloud.ownership import HALF, CloudOwnership, Ended
from immutable_servers.targets.cloud.tags import OWNER, pack_owner, unpack_owner

ENDED = f"{PREFIX}{ends.BAKE}"
"""The tag with a bake's end, on all that it makes."""


class AwsOwnership(CloudOwnership):
    """Owners of load balancers, and leftovers found by our tags."""

    access: AwsAccess
    fleets: AwsFleets

    def __init__(self, access: AwsAccess) -> None:
        self.access, self.fleets = access, access.fleets
        self.balancer = self.fleets.balancer
        self.api, self.images = access.api, access.api.raising(ImageError)

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read it from the load balancer's tags; None when it cannot be read."""
        found = self.balancer.standing.find_balancer(scope)
        tags = self._read_tags(found["LoadBalancerArn"]) if found else {}
        return unpack_owner(TAGS, tags)

    def list_owners(self) -> Sequence[Owner]:
        """Ask for the owner of each stack that has a fleet in the region."""
        stacks = {(one.project, one.stack) for one in self.find_scopes()}
        found = (self.find_owner(Scope(*one)) for one in sorted(stacks))
        return [owner for owner in found if owner]

    def _write_owner(self, owner: Owner) -> None:
        found = self.balancer.standing.find_balancer(Scope(owner.project, owner.stack))
        if found:
            self.write_owner(found["LoadBalancerArn"], owner)

    def write_owner(self, arn: str, owner: Owner) -> None:
        """Write an owner into the tags of a load balancer."""
        api, packed = self.balancer.api, pack_owner(TAGS, owner)
        before = {key for key in self._read_tags(arn) if key.startswith(f"{PREFIX}{OWNER}")}
        stale = sorted(before - packed.keys())
        if packed and stale:
            api.call("elbv2", "remove_tags", ResourceArns=[arn], TagKeys=stale)
        if packed:
            api.call("elbv2", "add_tags", ResourceArns=[arn], Tags=list_tags(packed))

    def _read_tags(self, arn: str) -> Mapping[str, str]:
        api, key = self.balancer.api, "TagDescriptions"
        (found,) = api.list("elbv2", "describe_tags", key=key, ResourceArns=[arn])
        return read_tags(found["Tags"])

    def _list_ended(self) -> Ended:
        """An instance before its security group, which it holds."""
        return {
            "instance": (self._find_instances, lambda name: self.api.end_instances([name])),
            "key pair": (
                partial(self._find_tagged, "describe_key_pairs", "KeyName"),
                lambda name: self.api.call("ec2", "delete_key_pair", KeyName=name),
            ),
            "login rule": (partial(self.access.find_ways, Scope("", "")), self.access.remove_way),
            "security group": (
                partial(self._find_tagged, "describe_security_groups", "GroupId"),
                self.api.delete_security_group,
            ),
        }

    def _list_others(self) -> Mapping[str, Kind]:
        return {"snapshot": make_kind(self._find_snapshots, partial(delete_snapshot, self.images))}

    def find_scopes(self) -> Sequence[Scope]:
        """Ask for the Auto Scaling groups of all stacks."""
        return self.fleets.groups.find_scopes()

    def _find_instances(self) -> Sequence[Thing]:
        tagged = where("tag-key", *(f"{PREFIX}{end}" for end in ENDS))
        found = self.api.find_instances(tagged, ALIVE)
        return [Thing(one["InstanceId"], read_words(one)) for one in found]

    def _find_tagged(self, operation: str, name: str) -> Sequence[Thing]:
        found = self.api.list("ec2", operation)
        return [Thing(one[name], read_words(one)) for one in found]

    def _find_halves(self) -> Iterator[Leftover]:
        """Yield AMIs with a name of ours that no bake has finished.

        One with the end of a bake was made by it. Nothing proves whose one without is.
        """
        for ami in self.images.find_amis(where("name", f"{IMAGES}/*/*")):
            tags, words = read_tags(ami.get("Tags")), read_words(ami)
            if IMAGE in tags:
                continue
            if why := describe_end(words):
                yield Leftover(HALF, ami["ImageId"], f"{ami['Name']}, {why}")
            elif ENDED not in tags and is_old(dt.datetime.fromisoformat(ami["CreationDate"])):
                why = f"{ami['Name']} was not finished; it has no tags of ours"
                yield Leftover(HALF, ami["ImageId"], why, sure=False)

    def _remove_half(self, name: str) -> None:
        for ami in self.images.find_amis(where("image-id", name)):
            delete_ami(self.images, ami)

    def _find_snapshots(self) -> Iterator[Leftover]:
        """Yield snapshots of our bakes that no AMI of this account holds any more."""
        filters = [where("tag-key", f"{PREFIX}{bakes.VERSION}")]
        found = self.api.list("ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters)
        held = {
            disk.get("Ebs", {}).get("SnapshotId")
            for ami in (self.images.find_amis() if found else ())
            for disk in ami.get("BlockDeviceMappings", [])
        }
        for one in found:
            if one["SnapshotId"] not in held and (why := _describe_snapshot(one)):
                size = int(one["VolumeSize"]) * 1024**3
                yield Leftover("snapshot", one["SnapshotId"], why, size)


def _describe_snapshot(one: Mapping[str, Any]) -> str:
    """Return why a snapshot that no AMI holds is left over; empty while a bake may be making it."""
    image = read_tags(one["Tags"]).get(IMAGE)
    if image is None:
        return describe_end(read_words(one))
    return f"of {image}; its AMI is gone" if is_old(one["StartTime"]) else ""
