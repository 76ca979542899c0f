"""Reads and moves the pointers of a stack's load balancer, and reads what they point to.

A service's pointer is the default action of a listener of its own, or for a service by host name
the action of its rule on the shared listener. Both carry the service's tags.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Answers, Member, Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws.answers import SETTLED, count_answers
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.names import (
    find_generation,
    make_name,
    name_server,
)
from immutable_servers.targets.aws.pointers import (
    NOBODY,
    UNKNOWN,
    Pointer,
    read_listener,
    read_name,
)
from immutable_servers.targets.aws.standing import Standing
from immutable_servers.targets.cloud.balancer import CloudBalancer, make_nowhere, refuse_leading

NO_GROUP = ("TargetGroupNotFound",)
LEFT = ("draining", "unused")
"""States of servers that the load balancer sends nothing, and lets go of."""
MOST_DRAIN = 3600
"""Longest deregistration delay of a target group, in seconds."""


class AwsBalancer(CloudBalancer):
    """The Application Load Balancer of a stack, its listeners, rules and target groups."""

    pointed = "listener"
    drain_poll = 5.0
    drain_slack = 10.0
    settle = 10.0
    """The API answers before the nodes follow: "requests could be routed using the previous rule
    configuration for a short time" (https://docs.aws.amazon.com/elasticloadbalancing/latest/
    application/edit-rule.html). Users saw 503s when old servers left at once:
    https://github.com/argoproj/argo-rollouts/issues/4433"""
    shows_within = 60.0
    """The official provider waits for what it wrote too (`elbV2PropagationTimeout`):
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/elbv2"""
    counts_within = SETTLED

    def __init__(self, api: Api, groups: Groups) -> None:
        super().__init__(api.settings.protocol, api.settings.host_port)
        self.api = api.raising(TrafficError)
        self.groups = groups
        self.standing = Standing(self.api)

    def _read_pointers(self, scope: Scope) -> Sequence[Mapping[str, int]]:
        return [
            {read_name(arn): weight for arn, weight in pointer.groups.items()}
            for pointer in self.standing.find_pointers(scope)
        ]

    def _find_generation(self, scope: Scope, name: str) -> str:
        return find_generation(scope, name)

    def _find_name(self, scope: Scope) -> str:
        found = self.standing.find_balancer(scope)
        return str(found["DNSName"]) if found else ""

    def find_groups(self, scope: Scope) -> Mapping[str, int]:
        """Return the target groups that a service's traffic goes to now, by weight."""
        return next((one.groups for one in self.standing.find_pointers(scope) if one.groups), {})

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Ask the target group, without servers that it lets go of."""
        return {
            name_server(scope, instance): Member(state == "healthy", f"{state} {why}".strip())
            for instance, (state, why) in self.find_targets(scope).items()
            if state not in LEFT
        }

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask CloudWatch, which is some minutes late."""
        group, balancer = self.find_group(scope), self.standing.find_balancer(scope)
        if group is None or balancer is None:
            return {}
        return count_answers(self.api, group["TargetGroupArn"], balancer["LoadBalancerArn"])

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        pointers = [*self.standing.find_pointers(scope)]
        if not pointers:
            raise make_nowhere(scope.service)
        actions = [self._render_action(scope, weights)]
        for pointer in pointers:
            self._set(pointer, actions)

    def _set(self, pointer: Pointer, actions: Sequence[Mapping[str, Any]]) -> None:
        if pointer.rule:
            self.api.call("elbv2", "modify_rule", RuleArn=pointer.rule, Actions=actions)
        else:
            arn = pointer.listener
            self.api.call("elbv2", "modify_listener", ListenerArn=arn, DefaultActions=actions)

    def remove_pointer(self, scope: Scope, route: Route, *, stays: bool) -> None:
        """Remove the listener or the rule of a route that a service has no longer.

        Of a service that stays the last one is left: somebody changed a name in the state.

        Raises:
            TrafficError: The service goes, and traffic still does to its servers.
        """
        pointers = [*self.standing.find_pointers(scope)]
        gone = [one for one in pointers if one.is_at(route)]
        if stays and len(gone) == len(pointers):
            gone = []
        if not stays:
            refuse_leading(scope.service, [arn for one in gone for arn in one.groups])
        for pointer in gone:
            if pointer.rule:
                missing = ("RuleNotFound",)
                self.api.call("elbv2", "delete_rule", missing=missing, RuleArn=pointer.rule)
            else:
                missing, arn = ("ListenerNotFound",), pointer.listener
                self.api.call("elbv2", "delete_listener", missing=missing, ListenerArn=arn)
        self._free_shared(scope, route, {one.listener for one in gone if not one.rule})

    def _free_shared(self, scope: Scope, route: Route, removed: Container[str]) -> None:
        """Point a listener nowhere that was the service's, and is the one for host names now.

        A list may still hold one that was removed.
        """
        service = replace(scope, generation="")
        for listener in self.standing.find_listeners(scope) if route.port else ():
            pointer = read_listener(listener)
            if pointer.listener in removed:
                continue
            is_ours = any(find_generation(service, read_name(arn)) for arn in pointer.groups)
            if (
                pointer.is_at(route)
                and is_ours
                and pointer not in self.standing.find_pointers(scope)
            ):
                self._set(pointer, [UNKNOWN])

    def _render_action(self, scope: Scope, weights: Mapping[str, int]) -> Mapping[str, Any]:
        names = {make_name(replace(scope, generation=one)): weights[one] for one in weights}
        if not names:
            return NOBODY
        found = self.api.list("elbv2", "describe_target_groups", Names=[*names])
        arns = {group["TargetGroupArn"]: names[group["TargetGroupName"]] for group in found}
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in arns.items()]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    def _start_drain(self, scope: Scope, seconds: float) -> None:
        """Take a generation that goes out of its target group.

        Meanwhile AWS adds no server to it, nor one for those that the balancer does not hold any
        more. The load balancer itself waits for open requests, for its deregistration delay: it is
        set to `seconds` first. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
        """
        if self.groups.mark_leaving(scope):
            self.groups.stop_growing(scope)
        group = self.find_group(scope)
        if group is None:
            return
        arn, delay = group["TargetGroupArn"], str(int(min(seconds, MOST_DRAIN)))
        changes = [{"Key": "deregistration_delay.timeout_seconds", "Value": delay}]
        self.api.call(
            "elbv2", "modify_target_group_attributes", TargetGroupArn=arn, Attributes=changes
        )
        targets = [{"Id": instance} for instance in self.find_targets(scope)]
        if targets:
            self.api.call("elbv2", "deregister_targets", TargetGroupArn=arn, Targets=targets)

    def _count_open(self, scope: Scope) -> int:
        """Return how many servers the target group still holds or drains."""
        return len(self.find_targets(scope))

    def find_group(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return a generation's target group, or None."""
        names = [make_name(scope)]
        found = self.api.list("elbv2", "describe_target_groups", missing=NO_GROUP, Names=names)
        return next(iter(found), None)

    def find_targets(self, scope: Scope) -> Mapping[str, tuple[str, str]]:
        """Return the servers of a generation's target group: instance id to state and reason."""
        group = self.find_group(scope)
        if group is None:
            return {}
        found = self.api.list(
            "elbv2",
            "describe_target_health",
            key="TargetHealthDescriptions",
            missing=NO_GROUP,
            TargetGroupArn=group["TargetGroupArn"],
        )
        states = {target["Target"]["Id"]: target["TargetHealth"] for target in found}
        return {
            instance: (state["State"], state.get("Description") or state.get("Reason", ""))
            for instance, state in states.items()
        }
