"""Reads and moves the pointers of a stack's load balancer, and reads what they point to.

A service's pointer is the default action of a listener of its own, or for a service by host name
the action of its rule on the shared listener. Both carry the service's tags.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.values import ALL, Answers, Member, Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws.answers import count_answers
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.names import (
    find_generation,
    make_name,
    make_tags,
    name_server,
    read_tags,
)

CLOSED = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "no generation serves\n"}
NOBODY = {"Type": "fixed-response", "FixedResponseConfig": CLOSED}
"""Action of a pointer that points nowhere."""
NO_BALANCER, NO_GROUP = ("LoadBalancerNotFound",), ("TargetGroupNotFound",)
AT_ONCE = 20
"""ARNs that `describe_tags` takes at once."""
LEFT = ("draining", "unused")
"""States of servers that the load balancer sends nothing, and lets go of."""
MOST_DRAIN = 3600
"""Longest deregistration delay of a target group, in seconds."""


@dataclass(frozen=True)
class Pointer:
    """The listener, or the rule, that is changed to move a service's traffic.

    Attributes:
        rule: Of a service by host name; empty when it is the listener's default action.
    """

    listener: str
    rule: str
    actions: Sequence[Mapping[str, Any]]

    @property
    def groups(self) -> dict[str, int]:
        """Return target groups by weight."""
        found: dict[str, int] = {}
        for action in self.actions:
            targets = action.get("ForwardConfig", {}).get("TargetGroups", [])
            if action["Type"] == "forward" and not targets:
                targets = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
            for group in targets:
                found[group["TargetGroupArn"]] = int(group.get("Weight", 1))
        return {arn: weight for arn, weight in found.items() if weight}


class AwsBalancer(Balancer):
    """The Application Load Balancer of a stack, its listeners, rules and target groups."""

    drain_poll = 5.0
    drain_slack = 10.0

    def __init__(self, api: Api, groups: Groups) -> None:
        self.api = api.raising(TrafficError)
        self.groups = groups

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        """Ask the listener, or the rule of a service by host name.

        A target group that is no generation's of the service is an error: somebody else points it.
        """
        pointer = self._find_pointer(scope)
        return _read_weights(pointer, scope) if pointer else {}

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Ask the target group, without servers that it lets go of."""
        return {
            name_server(scope, instance): Member(state == "healthy", f"{state} {why}".strip())
            for instance, (state, why) in self.find_targets(scope).items()
            if state not in LEFT
        }

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask CloudWatch, which is some minutes late."""
        group, balancer = self.find_group(scope), self.find_balancer(scope)
        if group is None or balancer is None:
            return {}
        return count_answers(self.api, group["TargetGroupArn"], balancer["LoadBalancerArn"])

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return the load balancer's address for a route, or the host that names it."""
        found = None if route.host else self.find_balancer(scope)
        return self.render_address(route, found["DNSName"] if found else "")

    def render_address(self, route: Route, name: str) -> str:
        """Return a route's URL by the load balancer's name, which may not be known yet."""
        scheme = self.api.settings.protocol.lower()
        port = route.port or self.api.settings.host_port
        end = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
        return f"{scheme}://{route.host or name or 'not-yet-there'}{end}"

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Move traffic, and hold or release the counts of scaled fleets.

        What is scaled keeps its count as a standby, so that going back to it is no boot; with
        traffic it may shrink again.
        """
        before = self.find_weights(scope) if self.api.settings.scaling else {}
        super().set_traffic(scope, weights)
        if not self.api.settings.scaling:
            return
        for generation in {*before, *weights} if weights else ():
            at = replace(scope, generation=generation)
            if weights.get(generation):
                self.groups.release_count(at)
            else:
                self.groups.hold_count(at)

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        pointer = self._find_pointer(scope)
        if pointer is None:
            raise TrafficError(
                f"Traffic of {scope.service} stays: the load balancer has no listener for it",
                todo="Run ./immutable up again: it makes what is missing.",
            )
        actions, arn = [self._render_action(scope, weights)], pointer.listener
        if pointer.rule:
            self.api.call("elbv2", "modify_rule", RuleArn=pointer.rule, Actions=actions)
        else:
            self.api.call("elbv2", "modify_listener", ListenerArn=arn, DefaultActions=actions)

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

    def find_balancer(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return the stack's load balancer, or None."""
        names = [make_name(replace(scope, service="", generation=""))]
        found = self.api.list("elbv2", "describe_load_balancers", missing=NO_BALANCER, Names=names)
        return next(iter(found), None)

    def find_listeners(self, scope: Scope) -> Sequence[Mapping[str, Any]]:
        """Return the listeners of the stack's load balancer."""
        balancer = self.find_balancer(scope)
        if balancer is None:
            return ()
        arn = balancer["LoadBalancerArn"]
        return self.api.list(
            "elbv2", "describe_listeners", missing=NO_BALANCER, LoadBalancerArn=arn
        )

    def find_rules(self, listener: str) -> Sequence[Mapping[str, Any]]:
        """Return a listener's rules without its default."""
        rules = self.api.list(
            "elbv2", "describe_rules", missing=("ListenerNotFound",), ListenerArn=listener
        )
        return [rule for rule in rules if not rule["IsDefault"]]

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

    def find_test_rules(self, group: str, listeners: Sequence[str]) -> Iterator[str]:
        """Yield the rules by header that lead to a target group."""
        for listener in listeners:
            for rule in self.find_rules(listener):
                if not _is_by_host(rule) and group in Pointer(listener, "", rule["Actions"]).groups:
                    yield rule["RuleArn"]

    def _find_pointer(self, scope: Scope) -> Pointer | None:
        """Return a service's pointer, or None while there is none."""
        service = replace(scope, generation="")
        listeners = {one["ListenerArn"]: one for one in self.find_listeners(scope)}
        for arn in self._find_marked([*listeners], service):
            return Pointer(arn, "", listeners[arn].get("DefaultActions", []))
        for listener in listeners:
            rules = {rule["RuleArn"]: rule for rule in self.find_rules(listener)}
            by_host = [arn for arn, rule in rules.items() if _is_by_host(rule)]
            for arn in self._find_marked(by_host, service):
                return Pointer(listener, arn, rules[arn]["Actions"])
        return None

    def _find_marked(self, arns: Sequence[str], scope: Scope) -> Sequence[str]:
        """Return those of `arns` that carry exactly the scope's tags."""
        wanted = make_tags(scope).items()
        found: list[Mapping[str, Any]] = []
        for at in range(0, len(arns), AT_ONCE):
            some, key = arns[at : at + AT_ONCE], "TagDescriptions"
            found += self.api.list("elbv2", "describe_tags", key=key, ResourceArns=some)
        return [one["ResourceArn"] for one in found if read_tags(one["Tags"]).items() >= wanted]


def _is_by_host(rule: Mapping[str, Any]) -> bool:
    return any(condition["Field"] == "host-header" for condition in rule["Conditions"])


def _read_weights(pointer: Pointer, scope: Scope) -> Mapping[str, int]:
    """Return percents by generation.

    Raises:
        TrafficError: The pointer leads to a group whose name is no generation's of the service.
    """
    groups = pointer.groups
    whole = sum(groups.values())
    found: dict[str, int] = {}
    for arn, weight in groups.items():
        generation = find_generation(replace(scope, generation=""), arn.split("/")[-2])
        if not generation:
            raise TrafficError(
                f"The load balancer points {scope.service} to a group that is not ours",
                facts=[f"{arn} has {weight} of {whole} parts of the traffic"],
                todo="Somebody changed the listener by hand: point it to one of the groups of the"
                " service, then run ./immutable up.",
            )
        found[generation] = round(weight * ALL / whole)
    return found
