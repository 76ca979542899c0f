"""Looks at how checks and bakes log in, at instance profiles, and at where servers ship logs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.aws.readiness.simulation import Request, find_missing_if_allowed
from immutable_servers.targets.aws.verifier import check_route, find_verifier
from immutable_servers.targets.cloud.verifier import describe_way

MANAGED = "AmazonSSMManagedInstanceCore"
EC2 = "ec2.amazonaws.com"
NO_PROFILE = ("NoSuchEntity",)


def check_way(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether this machine has what the way to servers needs."""
    settings = asked.settings
    check_route(settings)
    yield describe_way(what, settings.reach, settings.verify_from, find_verifier)


def check_servers_profile(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the servers' instance profile can be used."""
    settings = asked.settings
    if settings.instance_profile:
        yield from _check_profile(
            asked, what, settings.instance_profile, ssm=settings.reach == "ssm"
        )


def check_bakes_profile(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the bakes' instance profile can be used."""
    settings = asked.settings
    if settings.build_instance_profile:
        ssm = settings.build_through == "ssm"
        yield from _check_profile(asked, what, settings.build_instance_profile, ssm=ssm)


def check_log_group(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the log group exists: servers that find none serve, and ship nothing."""
    logs = asked.settings.logs
    if logs is None:
        return
    found = asked.api.list(
        "logs", "describe_log_groups", key="logGroups", logGroupNamePrefix=logs.group
    )
    if any(one["logGroupName"] == logs.group for one in found):
        yield Finding(what, "ok", logs.group)
    else:
        said = f"there is no log group {logs.group} in {asked.api.region}"
        todo = (
            f"aws logs create-log-group --log-group-name {logs.group} --region {asked.api.region}"
        )
        yield Finding(what, "not ok", said, todo)


def trusts_ec2(document: str | Mapping[str, Any]) -> bool:
    """Return whether a role's trust policy lets instances have the role."""
    policy = json.loads(document) if isinstance(document, str) else document
    found = policy["Statement"]
    for statement in [found] if isinstance(found, Mapping) else found:
        services = statement.get("Principal", {}).get("Service", [])
        if statement["Effect"] == "Allow" and EC2 in (
            [services] if isinstance(services, str) else services
        ):
            return True
    return False


def _check_profile(asked: Asked, what: str, name: str, *, ssm: bool) -> Iterator[Finding]:
    answer = asked.api.call(
        "iam", "get_instance_profile", missing=NO_PROFILE, InstanceProfileName=name
    )
    if not answer:
        todo = "Make it, or correct the name: it is that of the profile, not of its role."
        yield Finding(what, "not ok", f"there is no instance profile {name}", todo)
        return
    roles = answer["InstanceProfile"]["Roles"]
    if not roles:
        todo = (
            f"aws iam add-role-to-instance-profile --instance-profile-name {name} --role-name ..."
        )
        yield Finding(what, "not ok", f"{name} holds no role", todo)
        return
    role = roles[0]
    if not trusts_ec2(role["AssumeRolePolicyDocument"]):
        todo = f"Let {EC2} assume it in its trust policy."
        yield Finding(what, "not ok", f"{name}: the role {role['RoleName']} is not EC2's", todo)
        return
    if ssm:
        yield from _check_session_manager(asked, what, role)
    else:
        yield Finding(what, "ok", f"{name}, role {role['RoleName']}")
    yield from _check_passing(asked, f"{what} passed on", role["Arn"])


def _check_session_manager(asked: Asked, what: str, role: Mapping[str, Any]) -> Iterator[Finding]:
    name = role["RoleName"]
    found = asked.api.list(
        "iam", "list_attached_role_policies", key="AttachedPolicies", RoleName=name
    )
    if any(one["PolicyName"] == MANAGED for one in found):
        yield Finding(what, "ok", f"role {name} with {MANAGED}")
    else:
        said = f"role {name} has no {MANAGED} attached"
        todo = f"Attach it, unless a policy of your own allows the same: see {MANAGED} in IAM."
        yield Finding(what, "note", said, todo)


def _check_passing(asked: Asked, what: str, role: str) -> Iterator[Finding]:
    """Yield whether the caller may hand the role to instances."""
    request = Request(["iam:PassRole"], role, {"iam:PassedToService": [EC2]})
    missing = find_missing_if_allowed(asked, request)
    if missing is None:
        todo = "needs iam:SimulatePrincipalPolicy and iam:GetRole"
        yield Finding(what, "not known", "cannot be asked", todo)
    elif missing:
        todo = f"Allow it on {role}, with iam:PassedToService {EC2}."
        yield Finding(what, "not ok", "missing: iam:PassRole", todo)
    else:
        yield Finding(what, "ok", f"{asked.principal} may pass {role}")
