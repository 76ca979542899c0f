"""Finds what AWS has under a stack's names already: what a killed run made is adopted.

Pulumi imports a resource that is named here and that its state lacks; one that its state has is
left as it is.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.names import make_filters, make_name, read_words, where
from immutable_servers.targets.aws.pointers import (
    Pointer,
    choose_test_rules,
    find_rule_hosts,
    read_groups,
    read_listener,
    read_name,
)
from immutable_servers.targets.cloud.balancer import choose_number

RULE = "rule"
"""Tag of a security group's rule: its name in the program."""
OUT = "out"
"""The rule for the way out."""
PRIORITIES = 40000
"""Rules by host name have the numbers above; AWS takes 1 to 50000."""


class Found:
    """A stack's resources at AWS, each kind asked for once when it is first needed."""

    def __init__(self, scope: Scope, balancer: AwsBalancer, groups: Groups) -> None:
        self.scope = scope.of_stack
        self.role, self.auto_scaling = balancer, groups
        self.api = groups.api

    @cached_property
    def balancer(self) -> str | None:
        """The load balancer's ARN."""
        return self._balancer["LoadBalancerArn"] if self._balancer else None

    @cached_property
    def _balancer(self) -> Mapping[str, Any] | None:
        return self.role.standing.find_balancer(self.scope)

    @property
    def balancer_zones(self) -> Mapping[str, str]:
        """The subnets that the load balancer has, with their zones."""
        zones = self._balancer["AvailabilityZones"] if self._balancer else ()
        return {zone["SubnetId"]: zone["ZoneName"] for zone in zones}

    @cached_property
    def pointers(self) -> Mapping[int, Pointer]:
        """Listeners by port, with their default actions."""
        found = map(read_listener, self.role.standing.find_listeners(self.scope))
        return {listener.port: listener for listener in found}

    @property
    def listeners(self) -> Mapping[int, str]:
        """Listeners by port."""
        return {port: pointer.listener for port, pointer in self.pointers.items()}

    @cached_property
    def rules(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The rules of each listener."""
        return {arn: self.role.standing.find_rules(arn) for arn in self.listeners.values()}

    @cached_property
    def security_groups(self) -> Mapping[str, str]:
        """Security groups by name."""
        found = self.api.find_security_groups(*make_filters(self.scope))
        return {group["GroupName"]: group["GroupId"] for group in found}

    @cached_property
    def security_rules(self) -> Sequence[Mapping[str, Any]]:
        """All rules of these groups."""
        groups = self.security_groups.values()
        return self.api.find_security_rules(where("group-id", *groups)) if groups else ()

    @cached_property
    def templates(self) -> Mapping[str, str]:
        """Launch templates by name."""
        filters = make_filters(self.scope)
        found = self.api.list("ec2", "describe_launch_templates", Filters=filters)
        return {one["LaunchTemplateName"]: one["LaunchTemplateId"] for one in found}

    @cached_property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """Auto Scaling groups by name, which is their id too."""
        found = self.auto_scaling.find_all(self.scope)
        return {one["AutoScalingGroupName"]: one for one in found}

    def find_security_rule(self, group: str, rule: str, about: Mapping[str, Any]) -> str | None:
        """Return a rule's id by its name in the program, or without a tag by what it is about.

        The official provider makes a rule, then tags it; and EC2 gives each group a rule for the
        way out, which the provider takes away. A run that was killed between leaves both untagged.
        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_security_group_ingress_rule.go

        Args:
            group: The name of its group.
            rule: Its own name.
            about: Port and peer, as arguments of the program.
        """
        known = self.security_groups.get(group)
        inside = [one for one in self.security_rules if one["GroupId"] == known]
        tagged = (one for one in inside if read_words(one).get(RULE) == rule)
        bare = (one for one in inside if not one.get("Tags") and _is_about(one, rule, about))
        found = next(chain(tagged, bare), None)
        return found["SecurityGroupRuleId"] if found else None

    @cached_property
    def target_groups(self) -> Mapping[str, str]:
        """Target groups by name, as far as a rule leads to them."""
        rules = chain.from_iterable(self.rules.values())
        found = (group for rule in rules for group in read_groups(rule["Actions"]))
        return {read_name(arn): arn for arn in found}

    def find_target_group(self, scope: Scope) -> str | None:
        """Return the ARN of a generation's target group.

        Only one that a killed run has left without its test rule is asked for by its name.
        """
        known = self.target_groups.get(make_name(scope))
        if known:
            return known
        found = self.role.find_group(scope)
        return found["TargetGroupArn"] if found else None

    def find_rule(self, group: str | None, port: int) -> str | None:
        """Return the ARN of the test rule that leads to a target group, on a port's listener.

        One on another listener is replaced, which the engine refuses of what is to be adopted.
        """
        listener = self.listeners.get(port)
        if group is None or listener is None:
            return None
        return next(choose_test_rules(group, self.rules[listener]), None)

    def find_host_rule(self, port: int, host: str) -> Mapping[str, Any] | None:
        """Return the rule for a host name on a port's listener."""
        found = (rule for rule in self._find_rules(port) if host in find_rule_hosts(rule))
        return next(found, None)

    def find_priorities(self, port: int) -> set[int]:
        """Return the numbers that the rules of a port's listener have."""
        return {int(rule["Priority"]) for rule in self._find_rules(port)}

    def _find_rules(self, port: int) -> Sequence[Mapping[str, Any]]:
        return self.rules.get(self.listeners.get(port, ""), ())


def _is_about(rule: Mapping[str, Any], name: str, about: Mapping[str, Any]) -> bool:
    said = {
        "ip_protocol": rule["IpProtocol"],
        "from_port": rule.get("FromPort"),
        "to_port": rule.get("ToPort"),
        "cidr_ipv4": rule.get("CidrIpv4"),
        "cidr_ipv6": rule.get("CidrIpv6"),
        "referenced_security_group_id": rule.get("ReferencedGroupInfo", {}).get("GroupId"),
    }
    same = all(said[key] == value for key, value in about.items())
    return same and rule["IsEgress"] == (name == OUT)


def choose_priority(generation: str, taken: set[int]) -> int:
    """Return a free number for a generation's test rule, the same one each time it is free."""
    return choose_number(int(generation, 16), PRIORITIES, taken)
