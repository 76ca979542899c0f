"""What the checks of one `doctor` share: the account, and what was read once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from immutable_servers.errors import ImmutableError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.names import TAGS, make_name, read_tags, where
from immutable_servers.targets.aws.network import Network, find_network
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.cloud.readiness import CloudAsked

RUNNING = where("instance-state-name", "pending", "running")
ROLE = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.*")


@dataclass(frozen=True)
class Asked(CloudAsked[Api, AwsSettings]):
    """A stack, the account it is to be in, and answers that several checks read."""

    balancer: AwsBalancer

    @cached_property
    def caller(self) -> Mapping[str, str]:
        """`Arn`, `Account` and `UserId` of whose credentials these are."""
        return dict(self.api.call("sts", "get_caller_identity"))

    @cached_property
    def principal(self) -> str:
        """The ARN that policies of the caller are attached to: of a role, not of its session."""
        found = ROLE.fullmatch(self.caller["Arn"])
        if not found:
            return self.caller["Arn"]
        partition, account, name = found.groups()
        # The session's ARN leaves out the role's path.
        answer = self.api.call(
            "iam",
            "get_role",
            missing=("AccessDenied", "NoSuchEntity"),
            RoleName=name,
        )
        plain = f"arn:{partition}:iam::{account}:role/{name}"
        return str(answer["Role"]["Arn"]) if answer else plain

    @cached_property
    def network(self) -> Network:
        """Where servers and balancer stand, as the program chooses it."""
        zones = self.existing["AvailabilityZones"] if self.existing else ()
        used = [one["SubnetId"] for one in zones]
        return find_network(self.api, {*self.server_types.values()}, used)

    @cached_property
    def has_network(self) -> bool:
        """Whether there is one; why not is the line of `network` alone."""
        try:
            return bool(self.network)
        except ImmutableError:
            return False

    @cached_property
    def types(self) -> Mapping[str, Mapping[str, Any]]:
        """What EC2 says of the wanted types and of those that run; a type it lacks is left out."""
        names = {*self.wanted_types, *(one["InstanceType"] for one in self.instances)}
        which = [where("instance-type", *sorted(names))]
        found = self.api.list("ec2", "describe_instance_types", Filters=which)
        return {one["InstanceType"]: one for one in found}

    @cached_property
    def instances(self) -> Sequence[Mapping[str, Any]]:
        """All instances that run in the region."""
        return self.api.find_instances(RUNNING)

    def is_ours(self, thing: Mapping[str, Any]) -> bool:
        """Return whether a thing carries the tags of this stack."""
        ours = TAGS.write_scope(self.demand.scope).items()
        return ours <= read_tags(thing.get("Tags")).items()

    @cached_property
    def existing(self) -> Mapping[str, Any] | None:
        """The load balancer that has the name of this stack's; None when there is none."""
        return self.balancer.standing.find_balancer(self.demand.scope)

    @cached_property
    def name(self) -> str:
        """The name of the stack's load balancer."""
        return make_name(self.demand.scope)

    @property
    def ports(self) -> Sequence[int]:
        """Ports on which the load balancer listens."""
        ports = {route.port or self.settings.host_port for route in self.demand.routes}
        return sorted({*ports, *filter(None, [self.settings.redirect])})
