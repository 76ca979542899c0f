"""Which servers a generation has, and how they are, asked of AWS."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from operator import not_
from typing import Any

from immutable_servers.contract.values import Health, Launch, Say, Scope, Server
from immutable_servers.errors import ImmutableError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws import balancer, fleets
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import make_name, name_server

CONSOLE_LINES = 25
POLL_SECONDS = 3.0
MOST_CHECKS = 100
"""Of so many instances EC2 gives the checks at once; more are not needed to see what is wrong."""


def find_instances(api: Api, scope: Scope) -> dict[str, Mapping[str, Any]]:
    """Return what EC2 says of a generation's servers, by instance id."""
    members = fleets.find_members(fleets.find_group(api, scope))
    if not members:
        return {}
    reservations = api.list(
        "ec2",
        "describe_instances",
        "Reservations",
        Filters=[{"Name": "tag:aws:autoscaling:groupName", "Values": [make_name(scope)]}],
    )
    found = [one for reservation in reservations for one in reservation["Instances"]]
    return {one["InstanceId"]: one for one in found if one["InstanceId"] in members}


def find_servers(api: Api, scope: Scope) -> list[Server]:
    """Return the servers of a generation."""
    group = balancer.find_group(api, scope)
    port = group["Port"] if group else 0
    return [
        Server(name_server(scope, one), f"http://{instance.get('PrivateIpAddress', one)}:{port}")
        for one, instance in sorted(find_instances(api, scope).items())
    ]


def find_health(api: Api, scope: Scope, launch: Launch) -> list[Health]:
    """Return what the load balancer's own health check says of every server.

    A server that the target group holds and the fleet does not is in the answer too, and so is one
    that the fleet should have and AWS could not launch: as ones that fail.
    """
    del launch  # the target group has port and path from it
    group = fleets.find_group(api, scope)
    members = fleets.find_members(group)
    targets = _find_targets(api, scope)
    found = [
        _describe(scope, one, state, targets.get(one)) for one, state in sorted(members.items())
    ]
    left = {"draining", "unused"}
    strange = [one for one, (state, _) in targets.items() if state not in left]
    found += [
        Health(
            name_server(scope, one),
            ok=False,
            detail="the balancer's group holds it, the fleet does not",
        )
        for one in sorted(set(strange) - set(members))
    ]
    wanted = int(group["DesiredCapacity"]) if group else 0
    if len(members) < wanted:
        why = fleets.describe_activities(api, scope)[:1] or ["AWS has not launched it yet"]
        name = f"{scope.service}-{scope.generation}"
        found.append(
            Health(name, ok=False, detail=f"{len(members)} of {wanted} servers exist: {why[0]}")
        )
    return found


def wait_until_launched(api: Api, scope: Scope, launch: Launch, say: Say) -> int:
    """Wait until every server of a generation is healthy, or time is over; return how many are.

    A server that is not healthy is no error here: the verification says so.
    """
    ok: list[Health] = []

    def look() -> list[Health]:
        nonlocal ok
        asked = find_health(api, scope, launch)
        ok = [one for one in asked if one.ok]
        return [one for one in asked if not one.ok] or ([] if asked else [_none(scope)])

    what, deadline = f"waiting for {scope.name}", api.settings.boot_deadline
    for sick in wait_until(what, deadline, look, done=not_, every=POLL_SECONDS):
        say(f"{sick.server} does not serve: {sick.detail}")
    say(f"{len(ok)} servers serve")
    return len(ok)


def find_trouble(api: Api, scope: Scope) -> list[str]:
    """Return what helps to see why a generation is not healthy.

    The group's failed launches, each instance's state and status checks, and the end of its
    console.
    """
    lines = [f"launch: {said}" for said in fleets.describe_activities(api, scope)[:5]]
    instances = find_instances(api, scope)
    checks = _find_status(api, sorted(instances))
    for one, instance in sorted(instances.items()):
        reason = instance.get("StateReason", {}).get("Message", "")
        lines.append(
            f"{name_server(scope, one)}: {instance['State']['Name']}"
            f"{f' ({reason})' if reason else ''}, checks: {checks.get(one, 'not known yet')}"
        )
        lines += read_console(api, one)
    return lines


def read_console(api: Api, instance: str) -> Sequence[str]:
    """Return the last lines that a server printed on its console, as far as AWS has them."""
    try:
        answer = api.call("ec2", "get_console_output", InstanceId=instance)
    except ImmutableError as error:
        return [f"its console could not be read: {error.what}"]
    try:
        text = base64.b64decode(answer.get("Output") or "", validate=True).decode(errors="replace")
    except (ValueError, binascii.Error):
        text = answer["Output"]  # boto3 decodes it, other clients of the interface do not
    return [line.rstrip() for line in text.splitlines() if line.strip()][-CONSOLE_LINES:]


def _find_targets(api: Api, scope: Scope) -> dict[str, tuple[str, str]]:
    group = balancer.find_group(api, scope)
    return balancer.find_targets(api, group["TargetGroupArn"]) if group else {}


def _describe(scope: Scope, one: str, state: str, target: tuple[str, str] | None) -> Health:
    name = name_server(scope, one)
    if state != "InService":
        return Health(name, ok=False, detail=f"it is {state}", serving=target is not None)
    if target is None:
        detail = "the balancer's group does not hold it"
        return Health(name, ok=False, detail=detail, serving=False)
    health, why = target
    return Health(name, ok=health == "healthy", detail=f"{health} {why}".strip())


def _none(scope: Scope) -> Health:
    return Health(f"{scope.service}-{scope.generation}", ok=False, detail="it has no servers")


def _find_status(api: Api, instances: Sequence[str]) -> dict[str, str]:
    if not instances:
        return {}
    found = api.list(
        "ec2",
        "describe_instance_status",
        "InstanceStatuses",
        InstanceIds=list(instances[:MOST_CHECKS]),
        IncludeAllInstances=True,
    )
    return {
        one["InstanceId"]: f"instance {one['InstanceStatus']['Status']}, "
        f"system {one['SystemStatus']['Status']}"
        for one in found
    }
