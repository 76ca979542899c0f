"""A generation's fleet as AWS has it: an Auto Scaling group whose tags carry the record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Fleet, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.aws import balancer
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import (
    PREFIX,
    make_filters,
    make_name,
    make_tags,
    read_tags,
)
from immutable_servers.targets.aws.record import LEAVING, parse_record
from immutable_servers.targets.aws.userdata import seal_user_data

LEAST = f"{PREFIX}least"
"""Tag of a scaled fleet that is held at its count: the least number that it was declared with."""
MISSING_GROUP = ("ValidationError",)
"""Auto Scaling's code for a group that does not exist, when it is named."""
BUSY_GROUP = ("ResourceInUse", "ScalingActivityInProgress", "ResourceContention")
"""Its codes while it is still at work on a group."""


def find_groups(api: Api, scope: Scope) -> list[Mapping[str, Any]]:
    """Return the Auto Scaling groups of a stack, of a service or of one generation."""
    wanted = make_tags(scope)
    found = api.list(
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        Filters=make_filters(scope),
    )
    wanted.pop("Name")
    return [one for one in found if read_tags(one["Tags"]).items() >= wanted.items()]


def find_fleets(api: Api, scope: Scope) -> dict[str, Fleet]:
    """Return a service's fleets by generation id.

    Raises:
        LedgerError: A group's record cannot be read.
    """
    return {
        fleet.generation: fleet for group in find_groups(api, scope) for fleet in [_read(group)]
    }


def find_group(api: Api, scope: Scope) -> Mapping[str, Any] | None:
    """Return a generation's Auto Scaling group, or None."""
    found = api.list(
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        AutoScalingGroupNames=[make_name(scope)],
    )
    return next(iter(found), None)


def find_members(group: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the servers of a group that stay: instance id to lifecycle state."""
    return {
        one["InstanceId"]: one["LifecycleState"]
        for one in (group or {}).get("Instances", [])
        if not one["LifecycleState"].startswith(("Terminat", "Detach"))
    }


def count_live(api: Api, scope: Scope) -> int:
    """Return how many servers the live generation of a service has now; 0 without one."""
    found = find_fleets(api, replace(scope, generation=""))
    traffic = balancer.find_traffic(api, scope)
    return max((found[one].servers for one in traffic if one in found), default=0)


def hold_count(api: Api, scope: Scope) -> None:
    """Keep a scaled fleet that leaves traffic at the number of servers that it has."""
    group = find_group(api, scope)
    if group is None or group["DesiredCapacity"] <= group["MinSize"]:
        return
    # The tag first: a fleet that is held without one would never shrink again.
    write_tag(api, scope, LEAST, str(group["MinSize"]))
    _set_least(api, scope, group["DesiredCapacity"])


def release_count(api: Api, scope: Scope) -> None:
    """Let a fleet that has traffic again shrink to the number that it was declared with."""
    group = find_group(api, scope)
    least = read_tags(group["Tags"]).get(LEAST) if group else None
    if least is None:
        return
    _set_least(api, scope, int(least))
    tag = {"Key": LEAST, **_name_tagged(scope)}
    api.call("autoscaling", "delete_tags", missing=MISSING_GROUP, Tags=[tag])


def describe_activities(api: Api, scope: Scope) -> list[str]:
    """Return why a group could not launch servers, the latest first; empty when it could."""
    answer = api.call(
        "autoscaling",
        "describe_scaling_activities",
        missing=MISSING_GROUP,
        AutoScalingGroupName=make_name(scope),
        MaxRecords=10,
    )
    said = [
        one["StatusMessage"]
        for one in answer.get("Activities", [])
        if one["StatusCode"] in {"Failed", "Cancelled"} and one.get("StatusMessage")
    ]
    return [*dict.fromkeys(said)]


def write_tag(api: Api, scope: Scope, key: str, value: str) -> None:
    """Write a tag of a fleet's group, which its servers do not get."""
    tag = {"Key": key, "Value": value, "PropagateAtLaunch": False, **_name_tagged(scope)}
    api.call("autoscaling", "create_or_update_tags", Tags=[tag])


def seal_template(api: Api, scope: Scope) -> None:
    """Have servers that are launched from now on boot sealed, also while the window is open.

    A version of a launch template never changes, so the group is pointed to a new one, which
    differs in key and window alone. A fleet that is gone is no error.

    Raises:
        LaunchError: The launch data is not ours.
    """
    group = find_group(api, scope)
    if group is None:
        return
    template, old = (group["LaunchTemplate"][key] for key in ("LaunchTemplateId", "Version"))
    (version,) = api.list(
        "ec2",
        "describe_launch_template_versions",
        "LaunchTemplateVersions",
        LaunchTemplateId=template,
        Versions=[old],
    )
    opened = version["LaunchTemplateData"].get("UserData", "")
    sealed = seal_user_data(opened) if opened else opened
    if sealed == opened:
        return
    made = api.call(
        "ec2",
        "create_launch_template_version",
        LaunchTemplateId=template,
        SourceVersion=old,
        LaunchTemplateData={"UserData": sealed},
    )["LaunchTemplateVersion"]["VersionNumber"]
    api.call(
        "autoscaling",
        "update_auto_scaling_group",
        AutoScalingGroupName=make_name(scope),
        LaunchTemplate={"LaunchTemplateId": template, "Version": str(made)},
    )


def end_server(api: Api, instance: str) -> None:
    """End a server of a group, which launches another one for it; one that is gone is no error."""
    api.call(
        "autoscaling",
        "terminate_instance_in_auto_scaling_group",
        missing=("ValidationError",),
        again=BUSY_GROUP,
        InstanceId=instance,
        ShouldDecrementDesiredCapacity=False,
    )


def resume(api: Api, scope: Scope) -> None:
    """Let AWS heal and scale a fleet from now on; one that is gone is no error."""
    api.call(
        "autoscaling",
        "resume_processes",
        missing=MISSING_GROUP,
        AutoScalingGroupName=make_name(scope),
    )


def find_security_groups(api: Api, scope: Scope) -> list[Mapping[str, Any]]:
    """Return the security groups that carry a scope's tags."""
    return [
        one
        for one in api.list(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=make_filters(scope)
        )
        if read_tags(one.get("Tags")).get(f"{PREFIX}generation", "") == scope.generation
    ]


def _set_least(api: Api, scope: Scope, servers: int) -> None:
    api.call(
        "autoscaling",
        "update_auto_scaling_group",
        AutoScalingGroupName=make_name(scope),
        MinSize=servers,
    )


def _name_tagged(scope: Scope) -> dict[str, str]:
    return {"ResourceId": make_name(scope), "ResourceType": "auto-scaling-group"}


def _read(group: Mapping[str, Any]) -> Fleet:
    tags, name = read_tags(group["Tags"]), group["AutoScalingGroupName"]
    generation = tags.get(f"{PREFIX}generation", "")
    if not generation:
        raise LaunchError(
            f"The Auto Scaling group {name} does not say which generation it is",
            facts=[f"its tag {PREFIX}generation is missing"],
            todo="Put the tag back: the id is in the group's name.",
        )
    members = find_members(group)
    serving = [one for one, state in members.items() if state == "InService"]
    wanted = int(group["DesiredCapacity"])
    return Fleet(
        generation=generation,
        record=parse_record(tags, name),
        servers=wanted,
        whole=wanted > 0 and len(serving) >= wanted,
        running=len(serving),
        # A deletion by Pulumi's provider begins with no servers wanted, ours with a tag.
        leaving=LEAVING in tags or wanted == 0 or bool(group.get("Status")),
    )
