"""The IAM policies of the aws target: AWS knows their words, and they allow what is ours alone."""

import ast
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.aws.policies import (
    MAKES,
    OWN,
    POLICIES,
    REQUESTED,
    ROLES,
    TAGGERS,
    Request,
    Statement,
    find_kinds,
    find_refused,
    is_allowed,
    list_conditions,
    list_values,
    read_statements,
)
from harness.aws.reference import find_action, overlap
from harness.checkout import ROOT
from immutable_servers.contract.values import Scope
from immutable_servers.targets.aws.faults import IAM_NAMES
from immutable_servers.targets.aws.names import make_name

CODE = ROOT / "components/immutable_servers/targets/aws"
FILES = sorted(file.stem for file in POLICIES.glob("*.json"))
BAKES = ("amis.py", "bake.py", "images.py", "rivals.py", "upstream.py")
"""Modules that a bake, or the catalog, uses; the others' calls belong to a deployment."""
BOTH = ("api.py", "ownership.py")
"""Modules that tidy after bakes and after deployments."""
MOST_CHARACTERS = 6144
"""Of a managed policy, without white space.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
SAYS_SECRETS = (
    "autoscaling:DescribeLaunchConfigurations",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSpotFleetRequests",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeVpnConnections",
    "ec2:GetConsoleOutput",
    "ec2:GetConsoleScreenshot",
    "ec2:GetLaunchTemplateData",
    "ec2:GetPasswordData",
)
"""Actions that only look, and show user data, consoles or keys of the whole account."""
UNOWNED = {
    ("ec2:AuthorizeSecurityGroupEgress", "security-group-rule"): "its group has to be ours",
    ("ec2:AuthorizeSecurityGroupIngress", "security-group-rule"): "its group has to be ours",
    ("logs:CreateLogStream", "log-stream"): "its group's name is ours, and a stream has no tags",
    ("logs:PutLogEvents", "log-stream"): "as the stream",
    ("ec2:CreateSecurityGroup", "vpc"): "networks are there before us, and stay as they are",
    ("ec2:CreateTags", "security-group-rule"): "the provider tags one once it is there; a tag on"
    " another's rule opens nothing, as its group has to be ours",
    ("ec2:RunInstances", "subnet"): "networks are there before us, and stay as they are",
    (
        "elasticloadbalancing:SetRulePriorities",
        "listener-rule/app",
    ): "AWS knows no tags in it; it is allowed by our balancers' names",
    ("iam:CreateServiceLinkedRole", "role"): "AWS's own role of two services, once in an account",
    ("kms:Encrypt", "key"): "the one key that the file names",
    ("kms:Decrypt", "key"): "the one key that the file names",
    ("kms:GenerateDataKey", "key"): "the one key that the file names",
    ("s3:DeleteObject", "object"): "the one bucket that the file names",
    ("s3:PutObject", "object"): "the one bucket that the file names",
    ("ssm:ResumeSession", "session"): "AWS tags a session with who began it",
    ("ssm:StartSession", "document"): "AWS's own documents",
    ("ssm:TerminateSession", "session"): "AWS tags a session with who began it",
    ("ssmmessages:OpenDataChannel", ""): "of a session, which was allowed before",
}
"""What changes something and asks for no tag of ours, with the reason."""


def list_changes() -> list[tuple[str, ...]]:
    """Return what each policy lets be changed: its file or files, the action, and the kind."""
    optional = [(name,) for name in FILES if name not in ROLES]
    return [
        (" ".join(names), action, kind.name)
        for names in [ROLES, *optional]
        for statements in [read_statements(*names)]
        for action in sorted({one for statement in statements for one in statement["Action"]})
        if "*" not in action and find_action(action).changes
        for kind in find_kinds(statements, action)
    ]


CHANGES = list_changes()


def read_actions(*names: str) -> list[str]:
    """Return the actions that policies allow."""
    return [action for statement in read_statements(*names) for action in statement["Action"]]


def find_calls(file: Path) -> Iterator[str]:
    """Yield what a module calls of AWS, as IAM names it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        words = [one.value for one in node.args[:2] if isinstance(one, ast.Constant)]
        if node.func.attr in {"call", "list"} and len(words) == 2:
            service, operation = map(str, words)
            camel = "".join(part.capitalize() for part in operation.split("_"))
            yield f"{IAM_NAMES.get(service, service)}:{camel}"


def find_dead(statement: Statement) -> Iterator[str]:
    """Yield what a statement names and AWS never decides by it."""
    resources = list_values(statement["Resource"])
    keys = [key for _, key, _ in list_conditions(statement)]
    used = set()
    for action in statement["Action"]:
        if "*" in action:
            assert (resources, keys) == (["*"], [])
            continue
        fit = {
            one
            for kind in find_action(action).kinds.values()
            if all(kind.knows(key) for key in keys)
            for one in resources
            if overlap(one, kind.pattern)
        }
        used |= fit
        if not fit:
            yield action
    yield from set(resources) - used if used else ()


@pytest.mark.parametrize("name", FILES)
def test_every_policy_is_one_that_a_role_takes(name: str) -> None:
    """Each allows something on something, and is not longer than AWS lets a policy be.

    Also with a project's name, as the how-to says for an account that holds several.
    """
    text = (POLICIES / f"{name}.json").read_text()
    policy = json.loads(text)
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert {*statement} - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        assert statement["Sid"].isalnum()
    named = text.replace(':project": "*"', f':project": "{"a" * 20}"')
    assert len("".join(named.split())) <= MOST_CHARACTERS


@pytest.mark.parametrize("name", FILES)
def test_aws_decides_by_every_word_of_a_policy(name: str) -> None:
    """Each action exists and is about the ARNs beside it, where AWS knows the conditions' keys.

    A condition on a key that AWS does not know there is a statement that never allows anything.
    """
    for statement in read_statements(name):
        assert list(find_dead(statement)) == [], statement["Sid"]


def test_a_word_that_aws_does_not_know_would_be_found() -> None:
    """The check above sees what this policy had: a tag where AWS knows none."""
    tags = {"StringLike": {"aws:ResourceTag/immutable-servers:project": "*"}}
    action = "elasticloadbalancing:SetRulePriorities"
    assert list(find_dead({"Action": [action], "Resource": "*", "Condition": tags})) == [action]
    group, image = "arn:aws:ec2:*:*:security-group/*", "arn:aws:ec2:*::image/*"
    both = {"Action": ["ec2:DeleteSecurityGroup"], "Resource": [group, image], "Condition": tags}
    assert list(find_dead(both)) == [image]
    with pytest.raises(KeyError):
        find_action("ec2:DropSecurityGroup")


@pytest.mark.parametrize(("names", "action", "kind"), CHANGES)
def test_nothing_of_others_is_changed(names: str, action: str, kind: str) -> None:
    """Each call is refused on what has no tag of ours, and one that makes something without one.

    Whatever tags the call itself gives, they do not make another's thing ours.
    """
    if (action, kind) in UNOWNED:
        return
    statements = read_statements(*names.split())
    foreign = {"aws:ResourceTag/team": "x", "ssm:resourceTag/team": "x", "ec2:Public": "false"}
    for theirs in ({}, foreign):
        given = {} if kind in MAKES.get(action, ()) else REQUESTED
        assert not is_allowed(statements, Request(action, kind, {**theirs, **given}))
    own = {} if kind in MAKES.get(action, ()) else OWN
    making = {"ec2:CreateAction": "RunInstances"}
    assert is_allowed(statements, Request(action, kind, {**own, **making, **REQUESTED}))


TAGGING = [change for change in CHANGES if TAGGERS.fullmatch(change[1])]


@pytest.mark.parametrize(("names", "action", "kind"), TAGGING)
def test_nothing_of_others_is_made_ours_by_a_tag(names: str, action: str, kind: str) -> None:
    """Else each condition on our tags would hold for everything that is in the account."""
    tagged = is_allowed(read_statements(*names.split()), Request(action, kind, REQUESTED))
    assert tagged == ((action, kind) in UNOWNED)


@pytest.mark.parametrize(("action", "kind"), UNOWNED)
def test_each_exception_is_one(action: str, kind: str) -> None:
    """What asks for no tag is in use, and AWS knows none in it or its reason speaks for it."""
    (names,) = {names for names, *change in CHANGES if change == [action, kind]}
    about = find_action(action).kinds[kind]
    known = any(about.knows(key) for key in OWN)
    assert not known or is_allowed(
        read_statements(*names.split()), Request(action, kind, REQUESTED)
    )


@pytest.mark.parametrize("file", sorted(CODE.glob("*.py")), ids=lambda file: file.stem)
def test_what_the_code_calls_is_allowed(file: Path) -> None:
    """Each call of a module is in the policy of who runs it."""
    names = ["bake"] if file.name in BAKES else ["deploy"]
    allowed = read_actions("preview", *(["bake", "deploy"] if file.name in BOTH else names))
    for call in find_calls(file):
        assert any(fnmatchcase(call, action) for action in allowed), call


def test_the_calls_are_found() -> None:
    """The check above sees the calls: a listener is changed by one of them."""
    assert "elasticloadbalancing:ModifyListener" in set(find_calls(CODE / "balancer.py"))


def test_a_preview_only_looks_and_sees_no_secret() -> None:
    """Every branch's code may have the role: no console, no user data, no key of the account."""
    for action in read_actions("preview"):
        assert action.split(":")[1].startswith(("Describe", "Get"))
        assert not [secret for secret in SAYS_SECRETS if fnmatchcase(secret, action)]


def test_where_aws_knows_no_tags_our_names_decide() -> None:
    """A fleet gets no traffic of another's target group, and no other balancer's rules move."""
    statements = read_statements()
    group, balancer = make_name(Scope("shop", "dev", "web", "3f2a9c41")), Scope("shop", "dev")
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
    for name, allowed in ((group, True), ("payments", False), ("payments-0123456", False)):
        groups = {"autoscaling:TargetGroupARNs": f"{arn}:targetgroup/{name}/0a1b2c3d4e5f6789"}
        action = "autoscaling:CreateAutoScalingGroup"
        request = Request(action, "autoScalingGroup", {**REQUESTED, **groups})
        assert is_allowed(statements, request) == allowed
    (pattern,) = {
        resource
        for statement in statements
        if "elasticloadbalancing:SetRulePriorities" in statement["Action"]
        for resource in list_values(statement["Resource"])
    }
    assert overlap(f"{arn}:listener-rule/app/{make_name(balancer)}/1/2/3", pattern)
    assert not overlap(f"{arn}:listener-rule/app/lb-payments/1/2/3", pattern)


def test_nothing_is_shared_with_another_account() -> None:
    """No role may change who else launches an image or reads a snapshot."""
    assert not [one for one in read_actions() if fnmatchcase(one, "ec2:Modify*Attribute")]


def test_an_unconditional_right_would_be_found() -> None:
    """The table above sees the hole that was there."""
    hole = {"Action": ["ec2:DeleteSnapshot"], "Resource": "*"}
    request = Request("ec2:DeleteSnapshot", "snapshot", {"aws:ResourceTag/team": "x"})
    assert is_allowed([hole], request)
    assert not is_allowed([{**hole, "Resource": "arn:aws:ec2:*::image/*"}], request)
    assert ("preview bake deploy", request.action, request.kind) in CHANGES


@pytest.mark.parametrize(
    ("action", "kind"),
    [(action, kind) for action, kinds in MAKES.items() for kind in kinds],
)
def test_what_is_made_may_be_tagged_while_it_is_made(action: str, kind: str) -> None:
    """AWS asks for the tags of a call by themselves; what is there already is not tagged so."""
    service, operation = action.split(":")
    if service == "autoscaling":
        return  # AWS asks for no right of its own
    tagging = "ec2:CreateTags" if service == "ec2" else "elasticloadbalancing:AddTags"
    made = {**REQUESTED, f"{service}:CreateAction": operation}
    assert is_allowed(read_statements(), Request(tagging, kind, made))


def test_the_calls_of_a_run_are_decided_by_kind() -> None:
    """The journal's check finds a call without the tags of what it makes, and of each of it."""
    tag = {"TagSpecification.1.Tag.1.Key": "immutable-servers:project"}

    def make(call: str, **parameters: str) -> dict[str, object]:
        return {"event": "api", "agent": "pulumi", "call": call, "parameters": parameters}

    group = {**tag, "TagSpecification.1.ResourceType": "security-group"}
    assert find_refused([make("ec2.CreateSecurityGroup", **group)]) == set()
    assert find_refused([make("ec2.CreateSecurityGroup")]) == {
        "ec2:CreateSecurityGroup on security-group"
    }
    server = {**tag, "TagSpecification.1.ResourceType": "instance"}
    assert find_refused([make("ec2.RunInstances", **server)]) == {
        "ec2:RunInstances on network-interface",
        "ec2:RunInstances on volume",
    }
    assert find_refused([make("ec2.CreateTags", **{"ResourceId.1": "sg-1"})]) == set()
    plain = {"ResourceId.1": "sgr-1", "Tag.1.Key": "x"}
    assert find_refused([make("ec2.CreateTags", **plain)]) == {
        "ec2:CreateTags on security-group-rule"
    }
    assert find_refused([make("ec2.GetConsoleOutput")], "preview") == {
        "ec2:GetConsoleOutput on instance"
    }
