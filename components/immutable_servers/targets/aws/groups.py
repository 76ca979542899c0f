"""Reads and changes Auto Scaling groups, whose tags carry the records of generations."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Fleet, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import (
    PREFIX,
    RECORDS,
    TAGS,
    make_filters,
    make_name,
    name_server,
    read_tags,
    where,
)
from immutable_servers.targets.shared.launch_data import seal_launch

LEAVING = f"{PREFIX}leaving"
"""Tag of a fleet whose deletion has begun: it is never used again."""
SEALED = f"{PREFIX}sealed"
"""Tag of a fleet whose servers have been sealed and checked."""
MISSING = ("ValidationError: not found",)
"""What Auto Scaling says of a group or a server that does not exist; the code alone says no more
than that a request is wrong.
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/autoscaling/"""
BUSY = ("ResourceInUse", "ScalingActivityInProgress", "ResourceContention")
"""Auto Scaling's codes while it is still at work on a group."""
IN_SERVICE = "InService"
"""State of a server in a group that has been launched whole."""
GROWING = ("Launch", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions")
"""Auto Scaling's processes that add servers to a group."""
MOST_IN_PAGE = 100
"""Groups that Auto Scaling lists at once; 50 when nobody says.
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html"""


class Groups:
    """The Auto Scaling groups of an account; a group that is gone is no error."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find_all(self, scope: Scope) -> list[Mapping[str, Any]]:
        """Return the groups of a stack, of a service or of one generation.

        The question is the stack's, so that whoever asks once asks once for all services.
        """
        wanted = TAGS.write_scope(scope).items()
        found = self._list(Filters=make_filters(scope.of_stack), MaxRecords=MOST_IN_PAGE)
        return [group for group in found if read_tags(group["Tags"]).items() >= wanted]

    def find_scopes(self) -> Sequence[Scope]:
        """Return the generations of all stacks of ours that have a group."""
        found = self._list(Filters=[where("tag-key", f"{PREFIX}generation")])
        scopes = {
            one["AutoScalingGroupName"]: TAGS.read_scope(read_tags(one["Tags"])) for one in found
        }
        return [scope for name, scope in scopes.items() if make_name(scope) == name]

    def find(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return a generation's group, or None."""
        return next(iter(self._list(AutoScalingGroupNames=[make_name(scope)])), None)

    def _list(self, **which: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - the operation's own
        return self.api.list("autoscaling", "describe_auto_scaling_groups", **which)

    def explain_launches(self, scope: Scope) -> Sequence[str]:
        """Return why a group could not launch servers, the latest first; empty when it could."""
        which: dict[str, Any] = {"AutoScalingGroupName": make_name(scope), "MaxRecords": 10}
        activities = self.api.call(
            "autoscaling", "describe_scaling_activities", missing=MISSING, **which
        ).get("Activities", [])
        failed = [one for one in activities if one["StatusCode"] in {"Failed", "Cancelled"}]
        said = [one["StatusMessage"] for one in failed if one.get("StatusMessage")]
        return [*dict.fromkeys(said)]

    def mark_leaving(self, scope: Scope) -> bool:
        """Mark a fleet as one whose deletion has begun; return whether there is one."""
        if self.find(scope) is None:
            return False
        self._write_tag(scope, LEAVING, "yes")
        return True

    def mark_sealed(self, scope: Scope) -> None:
        """Mark a fleet as one whose servers are sealed, and wait until AWS shows it.

        No fleet is no error. Who looks next would else take the window for open, and find no key.
        """
        if self._is_sealed(scope):
            return
        self._write_tag(scope, SEALED, "yes")
        self.api.wait(f"the mark of {scope.name}", lambda: self._is_sealed(scope))

    def _is_sealed(self, scope: Scope) -> bool:
        group = self.find(scope)
        return group is None or SEALED in read_tags(group["Tags"])

    def find_window_end(self, scope: Scope) -> int:
        """Return when a fleet's login window ends, in seconds since the epoch; 0 once sealed."""
        group = self.find(scope)
        if group is None or SEALED in read_tags(group["Tags"]):
            return 0
        return int(read_fleet(group).record.get("window_ends") or 0)

    def stop_growing(self, scope: Scope) -> None:
        """Have AWS add no server to a fleet any more."""
        which = {"AutoScalingGroupName": make_name(scope), "ScalingProcesses": GROWING}
        self.api.call("autoscaling", "suspend_processes", missing=MISSING, again=BUSY, **which)

    def resume(self, scope: Scope) -> None:
        """Let AWS heal and scale a fleet from now on."""
        which = {"AutoScalingGroupName": make_name(scope)}
        self.api.call("autoscaling", "resume_processes", missing=MISSING, again=BUSY, **which)

    def seal_template(self, scope: Scope) -> None:
        """Have servers that are launched from now on boot sealed, also while the window is open.

        A version of a launch template never changes, so the group is pointed to a new one, which
        differs in key and window alone.

        Raises:
            LaunchError: The launch data is not ours.
        """
        group = self.find(scope)
        if group is None:
            return
        template, old = (group["LaunchTemplate"][key] for key in ("LaunchTemplateId", "Version"))
        (version,) = self.api.list(
            "ec2", "describe_launch_template_versions", LaunchTemplateId=template, Versions=[old]
        )
        opened = version["LaunchTemplateData"].get("UserData", "")
        sealed = seal_user_data(opened) if opened else opened
        if sealed == opened:
            return
        new = {"SourceVersion": old, "LaunchTemplateData": {"UserData": sealed}}
        made = self.api.call(
            "ec2", "create_launch_template_version", LaunchTemplateId=template, **new
        )
        number = str(made["LaunchTemplateVersion"]["VersionNumber"])
        self._update(scope, LaunchTemplate={"LaunchTemplateId": template, "Version": number})

    def end_server(self, instance: str) -> None:
        """End a server of a group, which launches another one for it."""
        self.api.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            missing=MISSING,
            again=BUSY,
            InstanceId=instance,
            ShouldDecrementDesiredCapacity=False,
        )

    def _write_tag(self, scope: Scope, key: str, value: str) -> None:
        """Write a tag of a fleet's group, which its servers do not get."""
        tag = {"Key": key, "Value": value, "PropagateAtLaunch": False, **_name_tagged(scope)}
        self.api.call("autoscaling", "create_or_update_tags", again=BUSY, Tags=[tag])

    def _update(self, scope: Scope, **changes: Any) -> None:  # noqa: ANN401 - the operation's own
        changes["AutoScalingGroupName"] = make_name(scope)
        self.api.call("autoscaling", "update_auto_scaling_group", again=BUSY, **changes)


def find_members(group: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the servers of a group that stay: instance id to lifecycle state."""
    return {
        instance["InstanceId"]: instance["LifecycleState"]
        for instance in (group or {}).get("Instances", [])
        if not instance["LifecycleState"].startswith(("Terminat", "Detach"))
    }


def read_fleet(group: Mapping[str, Any]) -> Fleet:
    """Return what a group says of its fleet.

    Raises:
        LedgerError: Its record cannot be read.
    """
    tags, name = read_tags(group["Tags"]), group["AutoScalingGroupName"]
    scope = TAGS.read_scope(tags)
    generation = scope.generation
    if not generation:
        raise LaunchError(
            f"The Auto Scaling group {name} does not say which generation it is",
            facts=[f"its tag {PREFIX}generation is missing"],
            todo="Put the tag back: the id is in the group's name.",
        )
    states = {name_server(scope, one): state for one, state in find_members(group).items()}
    running = sum(state == IN_SERVICE for state in states.values())
    wanted = int(group["DesiredCapacity"])
    return Fleet(
        generation=generation,
        record=RECORDS.parse(tags, name),
        servers=wanted,
        whole=0 < wanted <= running,
        running=running,
        # A deletion by Pulumi's provider begins with no servers wanted, ours with a tag.
        leaving=LEAVING in tags or wanted == 0 or bool(group.get("Status")),
        states=states,
    )


def seal_user_data(encoded: str) -> str:
    """Return launch data without key and window, both in base64.

    Raises:
        LaunchError: It is not ours.
    """
    try:
        return encode(seal_launch(base64.b64decode(encoded).decode()))
    except ValueError as error:
        raise LaunchError(
            "The user data of the launch template is not what the generation was launched with",
            facts=[str(error)],
            todo="Somebody changed the launch template by hand: ./immutable replace makes a new"
            " generation.",
        ) from error


def encode(text: str) -> str:
    """Return user data as a launch template takes it, in base64."""
    return base64.b64encode(text.encode()).decode()


def _name_tagged(scope: Scope) -> dict[str, str]:
    return {"ResourceId": make_name(scope), "ResourceType": "auto-scaling-group"}
