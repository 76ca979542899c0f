"""The IAM policies of the how-to, compared with the calls that a run has made.

They allow actions, and changes and deletions of what carries a tag of ours only: so what is made
has to be made with one.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from harness.checkout import ROOT
from immutable_servers.targets.aws.faults import IAM_NAMES

CALLERS = re.compile("immutable-servers|pulumi|packer", re.IGNORECASE)
"""Who of the journal needs a policy, by the user agent: our code, the plugin, Packer; no test."""
ROLES = ("preview", "bake", "deploy")
TAGS = ("immutable-servers:project", "immutable-servers:bake")
"""What the policies' conditions ask for."""
MAKING = {
    "autoscaling:CreateAutoScalingGroup",
    "ec2:CreateKeyPair",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateSecurityGroup",
    "ec2:RunInstances",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateRule",
    "elasticloadbalancing:CreateTargetGroup",
}
"""Calls that make what is changed and deleted later."""


def find_refused(events: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the calls, as IAM names them, that none of the policies allows."""
    allowed = [
        action
        for role in ROLES
        for statement in json.loads((ROOT / f"docs/how-to/aws/{role}.json").read_text())[
            "Statement"
        ]
        for action in statement["Action"]
    ]
    calls = {name for name, _ in _find_calls(events)}
    return {call for call in calls if not any(fnmatchcase(call, one) for one in allowed)}


def find_untagged(events: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the calls that made what the policies would not let their caller delete."""
    return {
        name
        for name, parameters in _find_calls(events)
        if name in MAKING and not {*TAGS} & {*parameters.values()}
    }


def _find_calls(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the calls of those who need a policy, as IAM names them, and their parameters."""
    for event in events:
        if event["event"] == "api" and CALLERS.search(event["agent"]):
            service, _, operation = event["call"].partition(".")
            name = f"{IAM_NAMES.get(service, service)}:{operation.rpartition('/')[2]}"
            yield name, event["parameters"]


__all__ = ["find_refused", "find_untagged"]
