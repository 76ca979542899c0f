"""What a listener does with a request, by its rules as they were at one moment."""

import copy
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Action = Mapping[str, Any]
"""An action as the API has it."""
CLOSED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}


@dataclass(frozen=True)
class Rules:
    """A listener's rules by priority, then its default.

    Attributes:
        rules: Conditions and actions of each.
        idle: Seconds after which its balancer closes an idle connection, or gives an answer up.
        secure: The listener speaks HTTPS.
    """

    rules: Sequence[tuple[Sequence[Mapping[str, Any]], Sequence[Action]]]
    default: Sequence[Action]
    idle: float
    secure: bool

    def find_action(self, headers: Mapping[str, str], path: str, client: str) -> Action:
        """Return what is done with a request."""
        for conditions, actions in self.rules:
            if all(_matches(one, headers, path, client) for one in conditions):
                return next(iter(actions), CLOSED)
        return next(iter(self.default), CLOSED)


def read_rules(listener: Any, idle: float) -> Rules:  # noqa: ANN401 - moto's listener
    """Return a listener's rules as moto has them now."""
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    rules.sort(key=lambda rule: int(rule.priority))
    return Rules(
        [(copy.deepcopy(rule.conditions), _read_actions(rule.actions)) for rule in rules],
        _read_actions(listener.default_actions),
        idle,
        listener.protocol == "HTTPS",
    )


def _read_actions(actions: Sequence[Any]) -> list[Action]:
    return [copy.deepcopy(action.data) for action in actions]


def find_weights(actions: Sequence[Action]) -> dict[str, int]:
    """Return the target groups that actions forward to, by their weight."""
    found: dict[str, int] = {}
    for data in actions:
        if data["Type"] != "forward":
            continue
        groups = data.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": data["TargetGroupArn"], "Weight": 1}
        ]
        found |= {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {arn: weight for arn, weight in found.items() if weight}


def find_default(listener: Any) -> dict[str, int]:  # noqa: ANN401 - moto's listener
    """Return the target groups of a listener's default action by weight."""
    return find_weights([action.data for action in listener.default_actions])


def list_used(listener: Any) -> set[str]:  # noqa: ANN401 - moto's listener
    """Return the target groups that a listener can lead to."""
    used = {*find_default(listener)}
    for rule in listener.rules.values():
        used |= {*find_weights([action.data for action in rule.actions])}
    return used


def _matches(
    condition: Mapping[str, Any], headers: Mapping[str, str], path: str, client: str
) -> bool:
    field_name = condition["Field"]
    if field_name == "http-header":
        config = condition["HttpHeaderConfig"]
        return headers.get(config["HttpHeaderName"].lower()) in config["Values"]
    values: Sequence[str] = condition.get("Values") or next(
        (part["Values"] for key, part in condition.items() if key.endswith("Config")), []
    )
    if field_name == "host-header":
        return headers.get("host", "").partition(":")[0] in values
    if field_name == "path-pattern":
        return any(path.startswith(value.rstrip("*")) for value in values)
    if field_name == "source-ip":
        return any(ipaddress.ip_address(client) in ipaddress.ip_network(one) for one in values)
    message = f"the emulated balancer does not know the condition {field_name}"
    raise NotImplementedError(message)
