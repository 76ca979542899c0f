"""Keeps owners in tags of load balancers, and finds what no stack owns in a region.

What carries its own end is left over from then on; a fleet is when its stack's state does not know
it.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from immutable_servers.contract.ownership import Kind, Leftover, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImageError, ImmutableError
from immutable_servers.targets.aws.access import AwsAccess
from immutable_servers.targets.aws.api import ALIVE
from immutable_servers.targets.aws.images import IMAGE, delete_ami, delete_snapshot
from immutable_servers.targets.aws.names import (
    IMAGES,
    PREFIX,
    TAGS,
    list_tags,
    read_tags,
    read_words,
    where,
)
from immutable_servers.targets.cloud.ends import ENDS, Thing, is_old, make_ended_kind, make_kind
from immutable_servers.targets.cloud.tags import OWNER, pack_owner, unpack_owner
from immutable_servers.targets.shared.leftovers import FLEET, make_fleet_kind


class AwsOwnership(Ownership):
    """Owners of load balancers, and leftovers found by our tags."""

    def __init__(self, access: AwsAccess) -> None:
        self.access, self.fleets = access, access.fleets
        self.balancer = self.fleets.balancer
        self.api, self.images = access.api, access.api.raising(ImageError)

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read it from the load balancer's tags; None when it cannot be read."""
        found = self.balancer.find_balancer(scope)
        tags = self._read_tags(found["LoadBalancerArn"]) if found else {}
        return unpack_owner(TAGS, tags)

    def _write_owner(self, owner: Owner) -> None:
        found = self.balancer.find_balancer(Scope(owner.project, owner.stack))
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
        answer = self.balancer.api.call("elbv2", "describe_tags", ResourceArns=[arn])
        return read_tags(answer["TagDescriptions"][0]["Tags"])

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Close ways to servers and end probes that dead runs have left."""
        del declared
        for tidy in (self.access.close_stale_ways, self.access.remove_probes):
            with suppress(ImmutableError):
                tidy(scope)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """An instance before its security group, which it holds."""
        ended: Mapping[str, tuple[Callable[[], Sequence[Thing]], Callable[[str], object]]] = {
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
        return {
            **{name: make_ended_kind(name, *both) for name, both in ended.items()},
            "half artifact": make_kind(self._find_halves, self._remove_half),
            "snapshot": make_kind(self._find_snapshots, partial(delete_snapshot, self.images)),
            FLEET: make_fleet_kind(self.fleets.groups.find_scopes, self, self.fleets),
        }

    def _find_instances(self) -> Sequence[Thing]:
        tagged = where("tag-key", *(f"{PREFIX}{end}" for end in ENDS))
        found = self.api.find_instances(tagged, ALIVE)
        return [Thing(one["InstanceId"], read_words(one)) for one in found]

    def _find_tagged(self, operation: str, name: str) -> Sequence[Thing]:
        found = self.api.list("ec2", operation)
        return [Thing(one[name], read_words(one)) for one in found]

    def _find_halves(self) -> Iterator[Leftover]:
        """Yield AMIs with a name of ours and without our tags, which Packer writes last.

        Nothing proves whose they are, and the next bake of the same version removes its own.
        """
        for ami in self.images.find_amis(where("name", f"{IMAGES}/*/*")):
            made = dt.datetime.fromisoformat(ami["CreationDate"])
            if IMAGE not in read_tags(ami.get("Tags")) and is_old(made):
                why = f"{ami['Name']} was not finished; it has no tags of ours"
                yield Leftover("half artifact", ami["ImageId"], why, sure=False)

    def _remove_half(self, name: str) -> None:
        for ami in self.images.find_amis(where("image-id", name)):
            delete_ami(self.images, ami)

    def _find_snapshots(self) -> Iterator[Leftover]:
        """Yield snapshots with our tags that no AMI of this account holds any more."""
        filters = [where("tag-key", IMAGE)]
        found = self.api.list("ec2", "describe_snapshots", OwnerIds=["self"], Filters=filters)
        held = {
            disk.get("Ebs", {}).get("SnapshotId")
            for ami in (self.images.find_amis() if found else ())
            for disk in ami.get("BlockDeviceMappings", [])
        }
        for one in found:
            if one["SnapshotId"] not in held and is_old(one["StartTime"]):
                why = f"of {read_tags(one['Tags'])[IMAGE]}; its AMI is gone"
                size = int(one["VolumeSize"]) * 1024**3
                yield Leftover("snapshot", one["SnapshotId"], why, size)
