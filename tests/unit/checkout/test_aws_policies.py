"""The IAM policies of the how-to: they parse, and they allow what our code calls."""

import ast
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers.targets.aws.faults import IAM_NAMES

POLICIES = ROOT / "docs/how-to/aws"
CODE = ROOT / "components/immutable_servers/targets/aws"
BAKES = ("bake.py", "images.py", "upstream.py")
"""Modules that a bake, or the catalog, uses; the others' calls belong to a deployment."""
BOTH = ("api.py", "ownership.py")
"""Modules that tidy after bakes and after deployments."""
TAKING = (
    "Delete",
    "Deregister",
    "Modify",
    "Remove",
    "Revoke",
    "Set",
    "Stop",
    "Suspend",
    "Terminate",
    "Update",
)
"""How actions begin that change something, or take it away."""
UNTAGGED = {
    "ec2:DeleteSnapshot",
    "ec2:DeregisterImage",
    "ec2:ModifyImageAttribute",
    "ec2:ModifySecurityGroupRules",
    "ec2:ModifySnapshotAttribute",
}
"""What needs no tag of ours: an AMI, which Packer tags last; a rule, whose group needs one."""


def read_actions(*names: str) -> list[str]:
    """Return the actions that policies allow."""
    return [
        action
        for name in names
        for statement in json.loads((POLICIES / f"{name}.json").read_text())["Statement"]
        for action in statement["Action"]
    ]


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


def test_every_policy_is_one() -> None:
    """Each file is a policy with statements that allow something, on something."""
    files = sorted(POLICIES.glob("*.json"))
    assert {"bake", "deploy", "preview"} <= {file.stem for file in files}
    for file in files:
        policy = json.loads(file.read_text())
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement["Sid"].isalnum()
            assert {"Resource", "Principal"} & {*statement}, file
            assert statement["Action"] not in (["*"], "*")


@pytest.mark.parametrize("file", sorted(CODE.glob("*.py")), ids=lambda file: file.stem)
def test_what_the_code_calls_is_allowed(file: Path) -> None:
    """Each call of a module is in the policy of who runs it."""
    names = ["bake"] if file.name in BAKES else ["deploy"]
    allowed = read_actions("preview", *(["bake", "deploy"] if file.name in BOTH else names))
    for call in find_calls(file):
        assert any(fnmatchcase(call, action) for action in allowed), call


def test_a_preview_changes_nothing() -> None:
    """Who may preview may look, and nothing else."""
    for action in read_actions("preview"):
        assert action.split(":")[1].startswith(("Describe", "Get"))


def test_the_calls_are_found() -> None:
    """The check above sees the calls: a listener is changed by one of them."""
    assert "elasticloadbalancing:ModifyListener" in set(find_calls(CODE / "balancer.py"))


def test_only_what_is_ours_is_taken_away() -> None:
    """Who deploys ends, deletes and changes nothing of others: it has to carry a tag of ours."""
    for name in ("bake", "deploy"):
        for statement in json.loads((POLICIES / f"{name}.json").read_text())["Statement"]:
            tags = statement.get("Condition", {}).get("StringLike", {})
            ours = any(key.startswith("aws:ResourceTag/immutable-servers:") for key in tags)
            loose = {a for a in statement["Action"] if a.split(":")[1].startswith(TAKING)}
            assert ours or loose <= UNTAGGED, loose
