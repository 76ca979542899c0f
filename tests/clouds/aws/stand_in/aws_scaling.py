"""Auto Scaling groups and their policies."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import tenacity
from aws_kinds import Kind, delete_unless_gone, get_one
from aws_wire import Names, Values

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
    computed = ("arn", "desiredCapacity")
    settings = (
        "namePrefix",
        "vpcZoneIdentifiers",
        "suspendedProcesses",
        "forceDelete",
        "waitForCapacityTimeout",
        "waitForElbCapacity",
        "minElbCapacity",
        "ignoreFailedScalingActivities",
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

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a botocore shape
        """The operation's input."""
        return self.find_input_shape("autoscaling", "CreateAutoScalingGroup")

    def create(self, inputs: Values) -> str:
        """Create it, wait for its instances as it is told, and suspend processes last."""
        name = str(inputs["name"])
        subnets = {"VPCZoneIdentifier": ",".join(inputs["vpcZoneIdentifiers"])}
        self.scaling.create_auto_scaling_group(**self.render(inputs), **subnets)
        self._wait_for_capacity(name, inputs)
        if inputs.get("suspendedProcesses"):
            self.scaling.suspend_processes(
                AutoScalingGroupName=name, ScalingProcesses=inputs["suspendedProcesses"]
            )
        return name

    def _wait_for_capacity(self, name: str, inputs: Values) -> None:
        seconds = read_seconds(str(inputs["waitForCapacityTimeout"]))
        if not seconds:
            return
        wanted = int(inputs.get("desiredCapacity") or inputs["minSize"])
        healthy = int(inputs.get("waitForElbCapacity") or inputs.get("minElbCapacity") or 0)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(bool),
            wait=tenacity.wait_fixed(0.2),
            stop=tenacity.stop_after_delay(seconds),
        )
        try:
            attempts(self._find_missing, name, wanted, healthy)
        except tenacity.RetryError as error:
            said = f"waiting for Auto Scaling Group ({name}) capacity satisfied: timeout: "
            raise TimeoutError(said + str(error.last_attempt.result())) from error

    def _find_missing(self, name: str, wanted: int, healthy: int) -> str:
        """Say what the group lacks, or nothing."""
        group = self.describe(name) or {"Instances": [], "TargetGroupARNs": []}
        serving = [i for i in group["Instances"] if i["LifecycleState"] == "InService"]
        if len(serving) < wanted:
            return f"want at least {wanted} healthy instance(s), have {len(serving)}"
        balancing = self.clients("elbv2")
        states = {
            target["Target"]["Id"]: target["TargetHealth"]["State"]
            for arn in group["TargetGroupARNs"]
            if healthy
            for target in balancing.describe_target_health(TargetGroupArn=arn)[
                "TargetHealthDescriptions"
            ]
        }
        found = sum(1 for state in states.values() if state == "healthy")
        short = f"want at least {healthy} healthy instance(s) registered to Load Balancer"
        return f"{short}, have {found}" if found < healthy else ""

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
        if {"MinSize", "DesiredCapacity"} & {*changes}:
            self._wait_for_capacity(identity, {**news, "minElbCapacity": 0})

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


def read_seconds(duration: str) -> float:
    """Return the seconds of a duration in Go's words, such as `10m` or `1m30s`."""
    units = {"h": "hours", "m": "minutes", "s": "seconds"}
    total, number = timedelta(), ""
    for letter in duration:
        if letter in units:
            total += timedelta(**{units[letter]: float(number)})
            number = ""
        else:
            number += letter
    return total.total_seconds()


class Policy(ScalingKind):
    """How a group scales by itself."""

    urn_type = "aws:autoscaling/policy:Policy"
    computed = ("arn",)
    settings = ("region",)
    names: ClassVar[Names] = {"PolicyName": "name", "AutoScalingGroupName": "autoscalingGroupName"}
    defaults: ClassVar[Values] = {"policyType": "SimpleScaling"}
    longest_name = 255

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a botocore shape
        """The operation's input."""
        return self.find_input_shape("autoscaling", "PutScalingPolicy")

    def create(self, inputs: Values) -> str:
        """Write it."""
        self.scaling.put_scaling_policy(**self.render(inputs))
        return str(inputs["name"])

    def describe(self, identity: str) -> Values | None:
        """Return the policy; its name is unique for a group, and ours hold the group's."""
        return get_one(self.scaling.describe_policies, "ScalingPolicies", PolicyNames=[identity])

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its ARN."""
        del identity
        return {"arn": found["PolicyARN"]}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write it again."""
        del identity, olds
        self.scaling.put_scaling_policy(**self.render(news))

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it; it goes with its group too."""
        group = inputs["autoscalingGroupName"]
        if self.describe(identity):
            self.scaling.delete_policy(AutoScalingGroupName=group, PolicyName=identity)


KINDS: Sequence[type[Kind]] = (Group, Policy)
