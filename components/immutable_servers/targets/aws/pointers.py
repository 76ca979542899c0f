"""Describes what is changed to move a service's traffic: the action of a listener or a rule."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immutable_servers.contract.values import Route

CLOSED = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "no generation serves\n"}
NOBODY = {"Type": "fixed-response", "FixedResponseConfig": CLOSED}
"""Action of a pointer that points nowhere."""
NO_HOST = {
    "StatusCode": "404",
    "ContentType": "text/plain",
    "MessageBody": "no service has this host\n",
}
UNKNOWN = {"Type": "fixed-response", "FixedResponseConfig": NO_HOST}
"""Default action of the listener that services are told apart on by host name."""


@dataclass(frozen=True)
class Pointer:
    """The listener, or the rule, that is changed to move a service's traffic.

    Attributes:
        port: The listener's.
        rule: Of a service by host name; empty when it is the listener's default action.
        hosts: Those of the rule.
    """

    listener: str
    port: int
    actions: Sequence[Mapping[str, Any]]
    rule: str = ""
    hosts: Sequence[str] = ()

    def is_at(self, route: Route) -> bool:
        """Return whether it is the one of a route."""
        return route.host in self.hosts if self.rule else route.port == self.port

    @property
    def groups(self) -> dict[str, int]:
        """Return target groups by weight."""
        return read_groups(self.actions)


def find_rule_hosts(rule: Mapping[str, Any]) -> Sequence[str]:
    """Return the host names that a rule is for; empty for other rules."""
    for condition in rule["Conditions"]:
        if condition["Field"] == "host-header":
            own = condition.get("HostHeaderConfig", {}).get("Values")
            return tuple(own or condition.get("Values", ()))
    return ()


def read_groups(actions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the target groups that get something, by weight."""
    found: dict[str, int] = {}
    for action in actions:
        targets = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if action["Type"] == "forward" and not targets:
            targets = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
        for group in targets:
            found[group["TargetGroupArn"]] = int(group.get("Weight", 1))
    return {arn: weight for arn, weight in found.items() if weight}


def choose_test_rules(group: str, rules: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the rules that lead to a target group so that its health is checked."""
    for rule in rules:
        if not find_rule_hosts(rule) and group in read_groups(rule["Actions"]):
            yield rule["RuleArn"]


def read_listener(listener: Mapping[str, Any]) -> Pointer:
    """Return what AWS says of a listener as a pointer by its default action."""
    arn, port = listener["ListenerArn"], int(listener["Port"])
    return Pointer(arn, port, listener.get("DefaultActions", []))


def read_name(group: str) -> str:
    """Return a target group's name, by its ARN."""
    return group.split("/")[-2]
