"""What AWS already has under a stack's names, so that what a killed run made is adopted.

Pulumi imports a resource that is named here and that its state lacks; one that its state has is
left as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws import balancer, fleets
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX, make_filters, make_name, read_tags

RULE_KEY = f"{PREFIX}rule"
"""Tag of a security group's rule: its name in the program."""
PRIORITIES = 40000
"""Rules by host name have the numbers above; AWS takes 1 to 50000."""


class Found:
    """A stack's resources at AWS, each kind asked for once when it is first needed."""

    def __init__(self, api: Api, scope: Scope) -> None:
        self.api = api
        self.scope = replace(scope, service="", generation="")

    @cached_property
    def _balancer(self) -> Mapping[str, Any] | None:
        return balancer.find_balancer(self.api, self.scope)

    @property
    def balancer(self) -> str | None:
        """The load balancer's ARN."""
        return self._balancer["LoadBalancerArn"] if self._balancer else None

    @cached_property
    def listeners(self) -> dict[int, str]:
        """Listeners by port."""
        found = balancer.find_listeners(self.api, self._balancer)
        return {one["Port"]: one["ListenerArn"] for one in found}

    @cached_property
    def rules(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        """The rules of each listener."""
        return {arn: balancer.find_rules(self.api, arn) for arn in self.listeners.values()}

    @cached_property
    def security_groups(self) -> dict[str, str]:
        """Security groups by name."""
        found = self.api.list(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=make_filters(self.scope)
        )
        return {one["GroupName"]: one["GroupId"] for one in found}

    @cached_property
    def security_rules(self) -> dict[tuple[str, str], str]:
        """Rules of these groups by group and by their name in the program."""
        groups = sorted(self.security_groups.values())
        if not groups:
            return {}
        found = self.api.list(
            "ec2",
            "describe_security_group_rules",
            "SecurityGroupRules",
            Filters=[{"Name": "group-id", "Values": groups}],
        )
        return {
            (one["GroupId"], read_tags(one.get("Tags")).get(RULE_KEY, "")): one[
                "SecurityGroupRuleId"
            ]
            for one in found
        }

    @cached_property
    def templates(self) -> dict[str, str]:
        """Launch templates by name."""
        found = self.api.list(
            "ec2", "describe_launch_templates", "LaunchTemplates", Filters=make_filters(self.scope)
        )
        return {one["LaunchTemplateName"]: one["LaunchTemplateId"] for one in found}

    @cached_property
    def groups(self) -> set[str]:
        """Names of Auto Scaling groups."""
        return {one["AutoScalingGroupName"] for one in fleets.find_groups(self.api, self.scope)}

    def find_security_rule(self, group: str, rule: str) -> str | None:
        """Return a rule's id by the name of its group and its own."""
        return self.security_rules.get((self.security_groups.get(group, ""), rule))

    def find_target_group(self, scope: Scope) -> str | None:
        """Return the ARN of a generation's target group."""
        found = balancer.find_group(self.api, scope)
        return found["TargetGroupArn"] if found else None

    def find_rule(self, group: str | None) -> str | None:
        """Return the ARN of the test rule that leads to a target group."""
        if group is None:
            return None
        listeners = [*self.listeners.values()]
        return next(balancer.find_test_rules(self.api, group, listeners), None)

    def find_host_rule(self, listener: str | None, host: str) -> str | None:
        """Return the ARN of a listener's rule for a host name."""
        for rule in self.rules.get(listener or "", ()):
            for one in rule["Conditions"]:
                if one["Field"] == "host-header" and host in one.get("Values", ()):
                    arn: str = rule["RuleArn"]
                    return arn
        return None

    def find_name(self, scope: Scope) -> str | None:
        """Return the name of a generation's Auto Scaling group, when it exists."""
        name = make_name(scope)
        return name if name in self.groups else None

    def find_priorities(self, listener: str | None) -> set[int]:
        """Return the numbers that a listener's rules have."""
        return {int(rule["Priority"]) for rule in self.rules.get(listener or "", ())}


def choose_priority(generation: str, taken: set[int]) -> int:
    """Return a free number for a generation's test rule, the same one each time it is free."""
    first = int(generation, 16) % PRIORITIES
    free = ((first + step) % PRIORITIES + 1 for step in range(PRIORITIES))
    return next(number for number in free if number not in taken)
