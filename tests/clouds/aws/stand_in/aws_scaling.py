"""Auto Scaling groups."""

from collections.abc import Sequence
from typing import Any, ClassVar

from aws_kinds import Kind, delete_unless_gone, get_one
from aws_wire import Names
from shared_wire import Values

UPDATED = (
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "DefaultCooldown",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "LaunchTemplate",
    "TerminationPolicies",
    "NewInstancesProtectedFromScaleIn",
    "DefaultInstanceWarmup",
    "MaxInstanceLifetime",
    "CapacityRebalance",
)
IMPORTED = (
    "name",
    "minSize",
    "maxSize",
    "desiredCapacity",
    "launchTemplate",
    "targetGroupArns",
    "healthCheckType",
    "healthCheckGracePeriod",
    "defaultCooldown",
    "terminationPolicies",
)
"""What an import of a group begins with, beside its lists."""


class ScalingKind(Kind):
    """A type of the Auto Scaling API; its id is its name."""

    @property
    def scaling(self) -> Any:  # noqa: ANN401 - the SDK's client
        """The client."""
        return self.clients("autoscaling")


class Group(ScalingKind):
    """A group of instances from a launch template."""

    urn_type = "aws:autoscaling/group:Group"
    operation = ("autoscaling", "CreateAutoScalingGroup")
    computed = ("arn", "desiredCapacity")
    settings = (
        "namePrefix",
        "vpcZoneIdentifiers",
        "suspendedProcesses",
        "forceDelete",
        "waitForCapacityTimeout",
        "region",
    )
    names: ClassVar[Names] = {
        "AutoScalingGroupName": "name",
        "LaunchTemplateId": "id",
        "LaunchTemplateName": "name",
        "TargetGroupARNs": "targetGroupArns",
        "NewInstancesProtectedFromScaleIn": "protectFromScaleIn",
    }
    defaults: ClassVar[Values] = {
        "forceDelete": False,
        "healthCheckGracePeriod": 300,
        "waitForCapacityTimeout": "10m",
    }
    longest_name = 255

    def create(self, inputs: Values) -> str:
        """Create it, and suspend processes last.

        Raises:
            NotImplementedError: It is told to wait for instances: the target does that itself.
        """
        if inputs["waitForCapacityTimeout"] != "0":
            raise NotImplementedError("waitForCapacityTimeout")
        name = str(inputs["name"])
        subnets = {"VPCZoneIdentifier": ",".join(inputs["vpcZoneIdentifiers"])}
        self.scaling.create_auto_scaling_group(**self.render(inputs), **subnets)
        if inputs.get("suspendedProcesses"):
            self.scaling.suspend_processes(
                AutoScalingGroupName=name, ScalingProcesses=inputs["suspendedProcesses"]
            )
        return name

    def describe(self, identity: str) -> Values | None:
        """Return the group."""
        return get_one(
            self.scaling.describe_auto_scaling_groups,
            "AutoScalingGroups",
            AutoScalingGroupNames=[identity],
        )

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs with tags, subnets and suspended processes as they are."""
        now = {
            "vpcZoneIdentifiers": found["VPCZoneIdentifier"].split(","),
            "suspendedProcesses": [p["ProcessName"] for p in found["SuspendedProcesses"]],
        }
        tags = _read_group_tags(found)
        fresh = super().refresh_inputs({**inputs, "tags": None}, found)
        for name, value in now.items():
            if name in inputs and sorted(inputs[name]) != sorted(value):
                fresh[name] = value
        if "tags" in inputs:
            fresh["tags"] = [tags.pop(t["key"]) for t in inputs["tags"] if t["key"] in tags]
            fresh["tags"] += tags.values()
        return fresh

    def import_inputs(self, found: Values) -> Values:
        """Return the group with its lists as Pulumi has them."""
        imported = super().import_inputs(found)
        kept = {k: v for k, v in imported.items() if k in IMPORTED or k in self.settings}
        return {
            **kept,
            "vpcZoneIdentifiers": found["VPCZoneIdentifier"].split(","),
            "suspendedProcesses": [p["ProcessName"] for p in found["SuspendedProcesses"]],
            "tags": [*_read_group_tags(found).values()],
        }

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its ARN, and how many it is told to hold where nobody said it."""
        del identity
        return {"arn": found["AutoScalingGroupARN"], "desiredCapacity": found["DesiredCapacity"]}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change what differs."""
        name = {"AutoScalingGroupName": identity}
        changes = {
            k: v for k, v in self.render(news, *UPDATED).items() if v != self.render(olds).get(k)
        }
        if olds["vpcZoneIdentifiers"] != news["vpcZoneIdentifiers"]:
            changes["VPCZoneIdentifier"] = ",".join(news["vpcZoneIdentifiers"])
        if changes:
            self.scaling.update_auto_scaling_group(**name, **changes)
        self._update_lists(name, olds, news)

    def _update_lists(self, name: dict[str, str], olds: Values, news: Values) -> None:
        """Change tags, target groups and suspended processes."""
        self._update_tags(name["AutoScalingGroupName"], olds, news)
        calls = (
            ("targetGroupArns", "TargetGroupARNs", "attach_load_balancer_target_groups",
             "detach_load_balancer_target_groups"),
            ("suspendedProcesses", "ScalingProcesses", "suspend_processes", "resume_processes"),
        )  # fmt: skip
        for key, argument, add, remove in calls:
            old, new = {*(olds.get(key) or ())}, {*(news.get(key) or ())}
            if new - old:
                getattr(self.scaling, add)(**name, **{argument: sorted(new - old)})
            if old - new:
                getattr(self.scaling, remove)(**name, **{argument: sorted(old - new)})

    def _update_tags(self, name: str, olds: Values, news: Values) -> None:
        of = {"ResourceId": name, "ResourceType": "auto-scaling-group"}
        old, new = ({t["key"]: t for t in (some.get("tags") or ())} for some in (olds, news))
        written = [
            {**of, "Key": key, "Value": tag["value"], "PropagateAtLaunch": tag["propagateAtLaunch"]}
            for key, tag in new.items()
            if old.get(key) != tag
        ]
        removed = [{**of, "Key": key} for key in old if key not in new]
        if written:
            self.scaling.create_or_update_tags(Tags=written)
        if removed:
            self.scaling.delete_tags(Tags=removed)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it: at once when it is told to, else after its last instance."""
        group = self.describe(identity)
        if group is None:
            return
        force = bool(inputs.get("forceDelete"))
        name = {"AutoScalingGroupName": identity}
        if not force:
            self.scaling.update_auto_scaling_group(**name, MinSize=0, MaxSize=0, DesiredCapacity=0)
        in_use = ("ResourceInUse", "ResourceInUseFault", "ScalingActivityInProgress")
        delete_unless_gone(
            self.scaling.delete_auto_scaling_group, (), in_use, **name, ForceDelete=force
        )


def _read_group_tags(found: Values) -> dict[str, Values]:
    return {
        tag["Key"]: {
            "key": tag["Key"],
            "value": tag["Value"],
            "propagateAtLaunch": tag["PropagateAtLaunch"],
        }
        for tag in found["Tags"]
    }


KINDS: Sequence[type[Kind]] = (Group,)
