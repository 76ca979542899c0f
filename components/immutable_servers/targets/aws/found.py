"""Finds what AWS has under a stack's names already: what a killed run made is adopted.

Pulumi imports a resource that is named here and that its state lacks; one that its state has is
left as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.names import PREFIX, make_filters, read_words, where

RULE = "rule"
"""Tag of a security group's rule: its name in the program."""
PRIORITIES = 40000
"""Rules by host name have the numbers above; AWS takes 1 to 50000."""


class Found:
    """A stack's resources at AWS, each kind asked for once when it is first needed."""

    def __init__(self, scope: Scope, balancer: AwsBalancer, groups: Groups) -> None:
        self.scope = replace(scope, service="", generation="")
        self.role, self.auto_scaling = balancer, groups
        self.api = groups.api

    @cached_property
    def balancer(self) -> str | None:
        """The load balancer's ARN."""
        found = self.role.find_balancer(self.scope)
        return found["LoadBalancerArn"] if found else None

    @cached_property
    def listeners(self) -> Mapping[int, str]:
        """Listeners by port."""
        found = self.role.find_listeners(self.scope)
        return {listener["Port"]: listener["ListenerArn"] for listener in found}

    @cached_property
    def rules(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The rules of each listener."""
        return {arn: self.role.find_rules(arn) for arn in self.listeners.values()}

    @cached_property
    def security_groups(self) -> Mapping[str, str]:
        """Security groups by name."""
        found = self.api.find_security_groups(*make_filters(self.scope))
        return {group["GroupName"]: group["GroupId"] for group in found}

    @cached_property
    def security_rules(self) -> Mapping[tuple[str, str], str]:
        """Rules of these groups by group and by their name in the program."""
        filters = (where(f"tag:{PREFIX}{RULE}", "*"), *make_filters(self.scope))
        found = self.api.find_security_rules(*filters)
        return {
            (rule["GroupId"], read_words(rule)[RULE]): rule["SecurityGroupRuleId"] for rule in found
        }

    @cached_property
    def templates(self) -> Mapping[str, str]:
        """Launch templates by name."""
        filters = make_filters(self.scope)
        found = self.api.list("ec2", "describe_launch_templates", Filters=filters)
        return {one["LaunchTemplateName"]: one["LaunchTemplateId"] for one in found}

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Auto Scaling groups by name, which is their id too."""
        found = self.auto_scaling.find_all(self.scope)
        return {one["AutoScalingGroupName"]: one["AutoScalingGroupName"] for one in found}

    def find_security_rule(self, group: str, rule: str) -> str | None:
        """Return a rule's id by the name of its group and its own."""
        return self.security_rules.get((self.security_groups.get(group, ""), rule))

    def find_target_group(self, scope: Scope) -> str | None:
        """Return the ARN of a generation's target group."""
        found = self.role.find_group(scope)
        return found["TargetGroupArn"] if found else None

    def find_rule(self, group: str | None) -> str | None:
        """Return the ARN of the test rule that leads to a target group."""
        if group is None:
            return None
        return next(self.role.find_test_rules(group, [*self.listeners.values()]), None)

    def find_host_rule(self, port: int, host: str) -> str | None:
        """Return the ARN of the rule for a host name on a port's listener."""
        for rule in self._find_rules(port):
            for condition in rule["Conditions"]:
                if condition["Field"] == "host-header" and host in condition.get("Values", ()):
                    return str(rule["RuleArn"])
        return None

    def find_priorities(self, port: int) -> set[int]:
        """Return the numbers that the rules of a port's listener have."""
        return {int(rule["Priority"]) for rule in self._find_rules(port)}

    def _find_rules(self, port: int) -> Sequence[Mapping[str, Any]]:
        return self.rules.get(self.listeners.get(port, ""), ())


def choose_priority(generation: str, taken: set[int]) -> int:
    """Return a free number for a generation's test rule, the same one each time it is free."""
    first = int(generation, 16) % PRIORITIES
    free = ((first + step) % PRIORITIES + 1 for step in range(PRIORITIES))
    return next(number for number in free if number not in taken)
