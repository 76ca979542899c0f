"""Asks whether the caller may do what the three roles do, as the files of their policies say it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from immutable_servers.contract.readiness import Finding
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.aws.names import TAGS, make_tags, specify_tags
from immutable_servers.targets.aws.policies import read_statements
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.aws.readiness.simulation import find_missing, list_requests
from immutable_servers.targets.cloud.bakes import BAKE
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.cloud.readiness import name_missing

GUIDE = "docs/how-to/aws.md"
ALLOWED = ("DryRunOperation",)
"""What EC2 answers to a dry run that would have worked."""


def check_role(asked: Asked, what: str, role: str) -> Iterator[Finding]:
    """Yield the line of one role: what of its policies the caller lacks."""
    if asked.caller["Arn"].endswith(":root"):
        yield Finding(what, "note", "the account's root may do all", "Use a role or a user.")
        return
    statements = [one for name in _list_files(asked, role) for one in read_statements(name)]
    try:
        missing, count = _simulate(asked, statements)
    except ImmutableError as error:
        refused = find_denied(error)
        if not refused:
            raise
        yield from _try_dry(asked, what, role, statements)
        return
    if missing is None:
        todo = "Ask with credentials of a role or a user of the account."
        yield Finding(what, "not known", f"IAM does not know {asked.principal}", todo)
    elif missing:
        yield Finding(what, "not ok", name_missing(missing), _advise(role))
    else:
        yield Finding(what, "ok", f"{count} actions simulated for {asked.principal}")


def _list_files(asked: Asked, role: str) -> Sequence[str]:
    """Return the files of a role: with Session Manager its own on top."""
    settings = asked.settings
    ssm = {"bake": settings.build_through == "ssm", "deploy": settings.reach == "ssm"}
    return [role, *(["session-manager"] if ssm.get(role) else [])]


def _simulate(
    asked: Asked, statements: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[str] | None, int]:
    """Return what is missing, None when IAM does not know the caller; and how much was asked."""
    account, user = asked.caller["Account"], asked.caller["UserId"]
    missing: dict[str, None] = {}
    actions: set[str] = set()
    for request in list_requests(statements, asked.api.region, account, user):
        found = find_missing(asked, request)
        if found is None:
            return None, 0
        missing.update(dict.fromkeys(found))
        actions.update(request.actions)
    return [*missing], len(actions)


def _try_dry(
    asked: Asked, what: str, role: str, statements: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Yield what EC2's dry runs say, where IAM may not be asked."""
    actions = {action for statement in statements for action in statement["Action"]}
    tries = {name: one for name, one in _list_dry_runs(asked, role).items() if name in actions}
    missing, tried = [], []
    for action, attempt in tries.items():
        try:
            attempt()
        except ImmutableError as error:
            refused = find_denied(error)
            missing += [action] if refused else []
            tried += [action] if refused else []  # another refusal says nothing of permissions
        else:
            tried.append(action)
    if missing:
        yield Finding(what, "not ok", f"{name_missing(missing)}, by a dry run", _advise(role))
        return
    said = f"a dry run allows {', '.join(tried)}; the rest" if tried else "all of it"
    todo = "needs iam:SimulatePrincipalPolicy and iam:GetRole"
    yield Finding(what, "not known", f"{said} cannot be asked", todo)


def _list_dry_runs(asked: Asked, role: str) -> Mapping[str, Any]:
    """Return EC2's calls that need nothing that exists, tagged as the role's are."""
    scope = asked.demand.scope
    tags = TAGS.write({BAKE: "doctor"}) if role == "bake" else make_tags(scope)
    call = partial(asked.api.call, "ec2", missing=ALLOWED, DryRun=True)
    name = f"{asked.name}-doctor"
    images = [one.get("amis", {}).get(asked.api.region) for one in asked.demand.starts.values()]
    image = next(filter(None, images), "")
    kind = asked.settings.bake_type if role == "bake" else next(iter(asked.server_types.values()))
    launch = {"ImageId": image, "InstanceType": kind, "MinCount": 1, "MaxCount": 1}
    tries = {
        "ec2:CreateKeyPair": partial(
            call, "create_key_pair", KeyName=name, TagSpecifications=specify_tags(tags, "key-pair")
        ),
        "ec2:CreateLaunchTemplate": partial(
            call,
            "create_launch_template",
            LaunchTemplateName=name,
            LaunchTemplateData={"InstanceType": kind},
            TagSpecifications=specify_tags(tags, "launch-template"),
        ),
    }
    if not asked.has_network:
        return tries
    tries["ec2:CreateSecurityGroup"] = partial(
        call,
        "create_security_group",
        GroupName=name,
        Description="A dry run",
        VpcId=asked.network.vpc,
        TagSpecifications=specify_tags(tags, "security-group"),
    )
    if image:
        tries["ec2:RunInstances"] = partial(
            call,
            "run_instances",
            SubnetId=next(iter(asked.network.subnets)),
            TagSpecifications=specify_tags(tags, "instance", "volume"),
            **launch,
        )
    return tries


def _advise(role: str) -> str:
    return (
        f"Put {role}.json of {GUIDE} into the policies of who runs this; a policy of yours that"
        " names resources where that file has `*` is shown as missing, too."
    )
