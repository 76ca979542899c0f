"""Looks at the key of encrypted disks, who may use it, and the service-linked roles."""

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.aws.readiness.simulation import Request, find_missing_if_allowed

LINKED: Mapping[str, str] = {
    "AWSServiceRoleForAutoScaling": "autoscaling.amazonaws.com",
    "AWSServiceRoleForElasticLoadBalancing": "elasticloadbalancing.amazonaws.com",
}
"""Service-linked roles by name, which AWS makes for a first group and a first balancer."""
SCALING = next(iter(LINKED))
NO_ROLE = ("NoSuchEntity", "NoSuchEntityException")
NO_KEY = ("NotFoundException",)
USES = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext")
"""What encrypted volumes need of a key.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html"""
EVERYBODY, OPEN = "*", "* without a condition"
Said = Literal["named", "by IAM", "no", "under a condition"]


def check_key(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the key exists here and can be used at all."""
    name = asked.settings.kms_key
    if not name:
        return
    region = name.split(":")[3] if name.startswith("arn:") else asked.api.region
    if region != asked.api.region:
        said = f"it is in {region}, the servers in {asked.api.region}: {name}"
        yield Finding(what, "not ok", said, f"Name a key of {asked.api.region} as kms_key.")
        return
    key = _describe(asked)
    if not key:
        todo = "Correct immutable-servers:aws kms_key."
        yield Finding(what, "not ok", f"KMS has no such key in {region}: {name}", todo)
        return
    kind = (key.get("KeySpec", ""), key.get("KeyUsage", ""))
    if key["KeyState"] != "Enabled":
        yield Finding(what, "not ok", f"{key['Arn']}: {key['KeyState']}", "Enable it in KMS.")
    elif kind != ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"):
        todo = "Disks take a symmetric key for encryption: name another one."
        yield Finding(what, "not ok", f"{key['Arn']}: {' '.join(kind)}", todo)
    else:
        yield Finding(what, "ok", f"{key['Arn']}, enabled")


def check_key_policy(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether caller and Auto Scaling may use the key: a line for each."""
    if not asked.settings.kms_key:
        return
    key = _describe(asked)
    if not key or key.get("KeyManager") == "AWS":
        return  # the key's own line has said that there is none; AWS's own key is for all
    if key["AWSAccountId"] != asked.caller["Account"]:
        yield _judge_foreign_key(asked, what, key)
        return
    answer = asked.api.call("kms", "get_key_policy", KeyId=key["Arn"], PolicyName="default")
    statements = json.loads(answer["Policy"])["Statement"]
    account = asked.caller["Account"]
    yield from _judge_caller(asked, f"{what}: caller", key, statements)
    yield _judge_scaling(asked, f"{what}: Auto Scaling", key, statements, account)


def check_linked_roles(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the service-linked roles exist, or will be made by the first `up`."""
    missing = [name for name in LINKED if not _find_role(asked, name)]
    if not missing:
        yield Finding(what, "ok", ", ".join(LINKED))
        return
    make = "; ".join(
        f"aws iam create-service-linked-role --aws-service-name {LINKED[one]}" for one in missing
    )
    yield Finding(
        what,
        "note",
        f"{', '.join(missing)}: not there yet",
        f"The first `up` makes them, with iam:CreateServiceLinkedRole; or by hand: {make}.",
    )


def read_policy(
    statements: Sequence[Mapping[str, Any]], principal: str, account: str, actions: Sequence[str]
) -> Said:
    """Return how a key's policy lets a principal do all of these actions.

    `by IAM` is a statement for the account's root: then policies of IAM decide, which a
    service-linked role has none of. What statements deny is not read.
    """
    ways: Sequence[tuple[Said, set[str]]] = (
        ("named", {principal}),
        ("named", {OPEN}),
        ("by IAM", {f"arn:aws:iam::{account}:root", account}),
        ("under a condition", {OPEN, EVERYBODY}),
    )
    for said, names in ways:
        # AWS's own example has CreateGrant in a statement of its own.
        patterns = [
            pattern
            for one in statements
            if one.get("Effect") == "Allow" and names & _list_principals(one)
            for pattern in _list(one.get("Action", []))
        ]
        if all(any(fnmatchcase(action, each) for each in patterns) for action in actions):
            return said
    return "no"


def _list_principals(statement: Mapping[str, Any]) -> set[str]:
    """Return whom a statement names; everybody is another one where a condition narrows it."""
    who = statement.get("Principal", {})
    names = {EVERYBODY} if who == EVERYBODY else set(_list(who.get("AWS", [])))
    if EVERYBODY in names and not statement.get("Condition"):
        names.add(OPEN)
    return names


def _judge_caller(
    asked: Asked, what: str, key: Mapping[str, Any], statements: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    said = read_policy(statements, asked.principal, asked.caller["Account"], USES)
    todo = f"Allow {', '.join(USES)} to {asked.principal} in the key's policy."
    if said == "named":
        yield Finding(what, "ok", f"the key's policy names {asked.principal}")
    elif said == "no":
        yield Finding(what, "not ok", f"the key's policy does not allow {asked.principal}", todo)
    elif said == "under a condition":
        yield Finding(what, "not known", "the key's policy has a condition", todo)
    else:
        missing = find_missing_if_allowed(asked, Request(USES, key["Arn"], {}))
        if missing is None:
            todo = "needs iam:SimulatePrincipalPolicy and iam:GetRole"
            yield Finding(what, "not known", "policies of IAM decide; cannot be asked", todo)
        elif missing:
            todo = f"Allow them on {key['Arn']} in the policies of {asked.principal}."
            yield Finding(what, "not ok", f"missing: {', '.join(missing)}", todo)
        else:
            yield Finding(what, "ok", f"policies of IAM allow {asked.principal}")


def _judge_scaling(
    asked: Asked,
    what: str,
    key: Mapping[str, Any],
    statements: Sequence[Mapping[str, Any]],
    account: str,
) -> Finding:
    """Return whether servers can be launched with the key, which Auto Scaling's own role does."""
    role = _find_role(asked, SCALING)
    if not role:
        todo = (
            "A key's policy cannot name a role that is not there: first aws iam"
            f" create-service-linked-role --aws-service-name {LINKED[SCALING]}, then name it."
        )
        return Finding(what, "not ok", f"{SCALING} does not exist yet", todo)
    if read_policy(statements, role, account, USES) == "named":
        return Finding(what, "ok", f"the key's policy names {SCALING}")
    grants = asked.api.call("kms", "list_grants", KeyId=key["Arn"])["Grants"]
    if any(one.get("GranteePrincipal") == role for one in grants):
        return Finding(what, "ok", f"a grant names {SCALING}")
    todo = f"Allow {', '.join(USES)} to {role} in the key's policy: no policy of IAM can."
    return Finding(what, "not ok", f"neither policy nor grant names {SCALING}", todo)


def _judge_foreign_key(asked: Asked, what: str, key: Mapping[str, Any]) -> Finding:
    """Return the line of another account's key: its policy cannot be read from here."""
    role = _find_role(asked, SCALING) or f"the role {SCALING}"
    todo = (
        f"Its account allows this one in the key's policy; then, here: aws kms create-grant"
        f" --key-id {key['Arn']} --grantee-principal {role} --operations Encrypt Decrypt"
        " ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey"
        " CreateGrant."
    )
    said = f"a key of account {key['AWSAccountId']}, whose policy cannot be asked"
    return Finding(what, "not known", said, todo)


def _describe(asked: Asked) -> Mapping[str, Any]:
    name = asked.settings.kms_key
    if name.startswith("arn:") and name.split(":")[3] != asked.api.region:
        return {}
    answer = asked.api.call("kms", "describe_key", missing=NO_KEY, KeyId=name)
    return dict(answer.get("KeyMetadata", {}))


def _find_role(asked: Asked, name: str) -> str:
    """Return a role's ARN; empty when it does not exist."""
    answer = asked.api.call("iam", "get_role", missing=NO_ROLE, RoleName=name)
    return str(answer["Role"]["Arn"]) if answer else ""


def _list(value: Any) -> Sequence[str]:  # noqa: ANN401 - JSON has one or several
    return [value] if isinstance(value, str) else list(value)
