"""The IAM policies of the aws target, decided as AWS decides.

What is there has to carry a tag of ours before it is changed, opened, shared or deleted, and what
is made has to be made with one. Nothing of somebody else's may be given one.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from harness.aws.reference import Action, Kind, find_action, overlap
from harness.checkout import ROOT
from immutable_servers.targets.aws.faults import IAM_NAMES

POLICIES = ROOT / "components/immutable_servers/targets/aws/policies"
CALLERS = re.compile("immutable-servers|pulumi|packer", re.IGNORECASE)
"""Who of the journal needs a policy, by the user agent: our code, the plugin, Packer; no test."""
ROLES = ("preview", "bake", "deploy")
"""The policies of whoever deploys."""
PREFIX = "immutable-servers:"
WORDS = ("project", "bake", "probe-ends")
"""The tags that conditions ask for."""
OWN = {
    f"{key}/{PREFIX}{word}": "x" for key in ("aws:ResourceTag", "ssm:resourceTag") for word in WORDS
}
"""What conditions see of a resource of ours."""
REQUESTED = {f"aws:RequestTag/{PREFIX}{word}": "x" for word in WORDS}
"""What conditions see of a call that gives tags of ours."""
MAKES = {
    "autoscaling:CreateAutoScalingGroup": ("autoScalingGroup",),
    "ec2:AuthorizeSecurityGroupEgress": ("security-group-rule",),
    "ec2:AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "ec2:CreateImage": ("image", "snapshot"),
    "ec2:CreateKeyPair": ("key-pair",),
    "ec2:CreateLaunchTemplate": ("launch-template",),
    "ec2:CreateSecurityGroup": ("security-group",),
    "ec2:RunInstances": ("instance", "network-interface", "volume"),
    "elasticloadbalancing:CreateLoadBalancer": ("loadbalancer/app/",),
    "elasticloadbalancing:CreateTargetGroup": ("targetgroup",),
}
"""Kinds of resources that a call makes; the others that it names are there already."""
IDS = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "lt": "launch-template",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "snap": "snapshot",
    "vol": "volume",
}
"""Kinds by the beginning of their ids."""
TAGGERS = re.compile(
    r"(ec2:(Create|Delete)|autoscaling:(CreateOrUpdate|Delete)|elasticloadbalancing:(Add|Remove))Tags"
)
"""Actions on whatever kind the call names."""

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What AWS decides about: each call is one for each kind of resource that it names.

    Attributes:
        action: As IAM names it.
        kind: Of the resource, as the reference names it.
        context: What conditions may look at.
    """

    action: str
    kind: str
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> Kind:
        """What the reference says of the action on this kind."""
        return find_action(self.action).kinds[self.kind]


def read_statements(*names: str) -> list[Statement]:
    """Return the statements of policies, by default of whoever deploys."""
    files = [POLICIES / f"{name}.json" for name in names or ROLES]
    return [one for file in files for one in json.loads(file.read_text())["Statement"]]


def is_allowed(statements: Sequence[Statement], request: Request) -> bool:
    """Return whether a statement allows a request, as AWS decides (there are no denials).

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    known = {key: value for key, value in request.context.items() if request.about.knows(key)}
    return any(
        any(fnmatchcase(request.action, action) for action in statement["Action"])
        and any(overlap(request.about.arn, one) for one in list_values(statement["Resource"]))
        and all(_holds(operator, key, values, known) for operator, key, values in conditions)
        for statement in statements
        for conditions in [list_conditions(statement)]
    )


def list_conditions(statement: Statement) -> list[tuple[str, str, Sequence[str]]]:
    """Return operator, key and values of each condition of a statement."""
    return [
        (operator, key, list_values(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]


def list_values(value: str | list[str]) -> list[str]:
    """Return what is written as one text or as several."""
    return [value] if isinstance(value, str) else value


def _holds(operator: str, key: str, values: Sequence[str], context: Mapping[str, str]) -> bool:
    """Return whether a condition holds; a key that is not there holds for no value, or for all."""
    if key not in context:
        return operator.startswith("ForAllValues:")
    return any(fnmatchcase(context[key], value) for value in values)


def find_kinds(statements: Sequence[Statement], action: str) -> Iterator[Kind]:
    """Yield the kinds of resources that statements let an action be about."""
    for kind in find_action(action).kinds.values():
        if any(
            overlap(pattern, kind.pattern)
            for statement in statements
            if action in statement["Action"]
            for pattern in list_values(statement["Resource"])
        ):
            yield kind


def find_refused(events: Sequence[Mapping[str, Any]], *names: str) -> set[str]:
    """Return the calls that policies refuse, by default those of whoever deploys.

    Each is the action with the kind of resource; the tags of a call are asked for by themselves,
    as AWS does.
    """
    statements = read_statements(*names)
    requests = [
        request
        for name, parameters in _find_calls(events)
        for request in _find_requests(name, parameters)
    ]
    return {
        f"{request.action} on {request.kind or 'anything'}"
        for request in requests
        if not is_allowed(statements, request)
    }


def _find_requests(name: str, parameters: Mapping[str, str]) -> Iterator[Request]:
    """Yield what AWS decides about for one call on resources of ours."""
    service, operation = name.split(":")
    for kind in sorted(_find_named(name, find_action(name), parameters)):
        tags = {f"aws:RequestTag/{key}": "x" for key in _find_tags(kind, parameters)}
        own = {} if kind in MAKES.get(name, ()) or _is_untagged(name, kind) else OWN
        if "AWSServiceName" in parameters:
            own = {"iam:AWSServiceName": parameters["AWSServiceName"]}
        groups = parameters.get("TargetGroupARNs.member.1")
        pointed = {"autoscaling:TargetGroupARNs": groups} if groups else {}
        yield Request(name, kind, {**own, **tags, **pointed})
        if tags and kind in MAKES.get(name, ()) and service != "autoscaling":
            tagging = "ec2:CreateTags" if service == "ec2" else "elasticloadbalancing:AddTags"
            yield Request(tagging, kind, {**tags, f"{service}:CreateAction": operation})


def _is_untagged(name: str, kind: str) -> bool:
    """Return whether the provider tags such a thing only after it has been made."""
    return (name, kind) == ("ec2:CreateTags", "security-group-rule")


def _find_named(name: str, action: Action, parameters: Mapping[str, str]) -> Collection[str]:
    """Return the kinds of resources that a call names or makes."""
    if TAGGERS.fullmatch(name) and not name.startswith("autoscaling:"):
        ids = [value for key, value in parameters.items() if re.match("Resource(Id|Arns)", key)]
        arns = [
            kind.name for one in ids for kind in action.kinds.values() if overlap(one, kind.pattern)
        ]
        return {*arns, *(IDS[one.partition("-")[0]] for one in ids if not one.startswith("arn:"))}
    required = {kind.name for kind in action.kinds.values() if kind.required}
    return {*MAKES.get(name, ()), *(required or action.kinds)}


def _find_tags(kind: str, parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield the keys of the tags that a call gives to a kind of resource."""
    for key, value in parameters.items():
        found = re.fullmatch(r"(?:(TagSpecification\.\d+)\.)?Tags?\.(?:member\.)?\d+\.Key", key)
        if found and (not found[1] or parameters.get(f"{found[1]}.ResourceType") == kind):
            yield value


def _find_calls(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the calls of those who need a policy, as IAM names them, and their parameters."""
    for event in events:
        if event["event"] == "api" and CALLERS.search(event["agent"]):
            service, _, operation = event["call"].partition(".")
            name = f"{IAM_NAMES.get(service, service)}:{operation.rpartition('/')[2]}"
            yield name, event["parameters"]
