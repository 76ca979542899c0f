"""The stack's load balancer as it is: its pointers, and what they point to.

A service's pointer is the default action of a listener of its own, or for a service that is told by
host name the action of its rule on the shared listener. Both carry the service's tags.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from immutable_servers.contract.values import ALL, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import find_generation, make_name, make_tags, read_tags

NOBODY: Mapping[str, Any] = {
    "Type": "fixed-response",
    "FixedResponseConfig": {
        "StatusCode": "503",
        "ContentType": "text/plain",
        "MessageBody": "no generation serves\n",
    },
}
"""What a pointer answers that points nowhere."""
AT_ONCE = 20
"""`describe_tags` takes so many ARNs."""


@dataclass(frozen=True)
class Pointer:
    """What is changed to move a service's traffic.

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


def find_balancer(api: Api, scope: Scope) -> Mapping[str, Any] | None:
    """Return the stack's load balancer, or None.

    Raises:
        TrafficError: AWS cannot be asked.
    """
    name = make_name(replace(scope, service="", generation=""))
    found = api.list(
        "elbv2",
        "describe_load_balancers",
        "LoadBalancers",
        missing=("LoadBalancerNotFound",),
        kind=TrafficError,
        Names=[name],
    )
    return next(iter(found), None)


def find_listeners(api: Api, balancer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return a load balancer's listeners."""
    if balancer is None:
        return []
    return api.list(
        "elbv2",
        "describe_listeners",
        "Listeners",
        missing=("LoadBalancerNotFound",),
        kind=TrafficError,
        LoadBalancerArn=balancer["LoadBalancerArn"],
    )


def find_rules(api: Api, listener: str) -> list[Mapping[str, Any]]:
    """Return a listener's rules without its default."""
    rules = api.list(
        "elbv2",
        "describe_rules",
        "Rules",
        missing=("ListenerNotFound",),
        kind=TrafficError,
        ListenerArn=listener,
    )
    return [rule for rule in rules if not rule["IsDefault"]]


def find_marked(api: Api, arns: Sequence[str], scope: Scope) -> list[str]:
    """Return those of `arns` that carry exactly the scope's tags."""
    wanted = make_tags(scope)
    found: list[str] = []
    for at in range(0, len(arns), AT_ONCE):
        answer = api.call(
            "elbv2", "describe_tags", kind=TrafficError, ResourceArns=arns[at : at + AT_ONCE]
        )
        found += [
            one["ResourceArn"]
            for one in answer["TagDescriptions"]
            if read_tags(one["Tags"]).items() >= wanted.items()
        ]
    return found


def find_pointer(api: Api, scope: Scope) -> Pointer | None:
    """Return a service's pointer, or None while there is none."""
    service = replace(scope, generation="")
    listeners = {one["ListenerArn"]: one for one in find_listeners(api, find_balancer(api, scope))}
    for arn in find_marked(api, list(listeners), service):
        return Pointer(arn, "", listeners[arn].get("DefaultActions", []))
    for listener in listeners:
        rules = {rule["RuleArn"]: rule for rule in find_rules(api, listener) if _is_by_host(rule)}
        for arn in find_marked(api, list(rules), service):
            return Pointer(listener, arn, rules[arn]["Actions"])
    return None


def find_traffic(api: Api, scope: Scope) -> dict[str, int]:
    """Return generation id to weight in percent as the load balancer says; empty for nobody.

    Raises:
        TrafficError: It exists and cannot be read, or points to what is not the service's.
    """
    pointer = find_pointer(api, scope)
    return _read_weights(pointer, scope) if pointer else {}


def set_traffic(api: Api, scope: Scope, weights: Mapping[str, int]) -> None:
    """Point a service at generations by weight (100 in all), or at none, and read it back.

    Raises:
        TrafficError: A generation's group is missing or has no healthy server, there is no
            balancer, or it says something else afterwards.
    """
    pointer = find_pointer(api, scope)
    wanted = {generation: weight for generation, weight in weights.items() if weight}
    if pointer is None:
        if not wanted:
            return
        raise TrafficError(
            f"Traffic of {scope.service} cannot be set: the load balancer has no listener for it",
            todo="Run ./immutable up again: it makes what is missing.",
        )
    if wanted and sum(wanted.values()) != ALL:
        raise TrafficError(
            f"Traffic of {scope.service} cannot be set to {wanted}",
            facts=[f"weights in all: {sum(wanted.values())}, wanted {ALL}"],
            todo="Run ./immutable up again.",
        )
    groups = {
        find_healthy_group(api, replace(scope, generation=generation)): weight
        for generation, weight in wanted.items()
    }
    _point(api, pointer, _render_action(groups))
    said = find_traffic(api, scope)
    if said != wanted:
        raise TrafficError(
            f"The load balancer did not do as it was asked for {scope.service}",
            facts=[f"asked for {wanted or 'nobody'}, it says {said or 'nobody'}"],
            todo="See who else changes the listener, then run ./immutable up again.",
        )


def find_group(api: Api, scope: Scope) -> Mapping[str, Any] | None:
    """Return a generation's target group, or None."""
    found = api.list(
        "elbv2",
        "describe_target_groups",
        "TargetGroups",
        missing=("TargetGroupNotFound",),
        kind=TrafficError,
        Names=[make_name(scope)],
    )
    return next(iter(found), None)


def find_targets(api: Api, group: str) -> dict[str, tuple[str, str]]:
    """Return the servers of a target group: instance id to state and reason."""
    answer = api.call(
        "elbv2",
        "describe_target_health",
        missing=("TargetGroupNotFound",),
        kind=TrafficError,
        TargetGroupArn=group,
    )
    return {
        one["Target"]["Id"]: (
            one["TargetHealth"]["State"],
            one["TargetHealth"].get("Description") or one["TargetHealth"].get("Reason", ""),
        )
        for one in answer.get("TargetHealthDescriptions", [])
    }


def find_healthy_group(api: Api, scope: Scope) -> str:
    """Return the ARN of a generation's target group, for traffic.

    Raises:
        TrafficError: It is missing, or none of its servers is healthy: the load balancer would
            answer with errors.
    """
    group = find_group(api, scope)
    states = find_targets(api, group["TargetGroupArn"]) if group else {}
    if group is None or all(state != "healthy" for state, _ in states.values()):
        raise TrafficError(
            f"Traffic of {scope.service} stays: generation {scope.generation} has no healthy"
            " server at the load balancer",
            facts=[f"{one}: {state} {why}".strip() for one, (state, why) in states.items()]
            or ["its target group is missing or empty"],
            todo="Run ./immutable up again; `./immutable status` shows what exists.",
        )
    arn: str = group["TargetGroupArn"]
    return arn


def find_test_rules(api: Api, group: str, listeners: Sequence[str]) -> Iterator[str]:
    """Yield the rules by header that lead to a target group."""
    for listener in listeners:
        for rule in find_rules(api, listener):
            if not _is_by_host(rule) and group in Pointer(listener, "", rule["Actions"]).groups:
                yield rule["RuleArn"]


def _is_by_host(rule: Mapping[str, Any]) -> bool:
    return any(one["Field"] == "host-header" for one in rule["Conditions"])


def _read_weights(pointer: Pointer, scope: Scope) -> dict[str, int]:
    """Return percents by generation; a name that is no generation's of the service is an error."""
    groups = pointer.groups
    whole = sum(groups.values())
    found: dict[str, int] = {}
    for arn, weight in groups.items():
        name = arn.split("/")[-2]
        generation = find_generation(replace(scope, generation=""), name)
        if not generation:
            raise TrafficError(
                f"The load balancer points {scope.service} to a group that is not ours",
                facts=[f"{arn} has {weight} of {whole} parts of the traffic"],
                todo="Somebody changed the listener by hand: point it to one of the groups of the"
                " service, then run ./immutable up.",
            )
        found[generation] = round(weight * ALL / whole)
    return found


def _render_action(groups: Mapping[str, int]) -> Mapping[str, Any]:
    if not groups:
        return NOBODY
    return {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": [
                {"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups.items()
            ],
        },
    }


def _point(api: Api, pointer: Pointer, action: Mapping[str, Any]) -> None:
    if pointer.rule:
        api.call("elbv2", "modify_rule", kind=TrafficError, RuleArn=pointer.rule, Actions=[action])
    else:
        api.call(
            "elbv2",
            "modify_listener",
            kind=TrafficError,
            ListenerArn=pointer.listener,
            DefaultActions=[action],
        )
