"""Auto Scaling of the emulated cloud."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from clouds.aws.emulation.cloud_world import World

HELD_BY = frozenset(("Launch", "HealthCheck", "ReplaceUnhealthy", "Terminate"))
"""A group that has one of these suspended replaces nothing.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-suspend-resume-processes.html
"""


def patch_scaling(world: World) -> None:
    """Replace instances as the group's processes say."""
    old_notify, old_resume = (
        AutoScalingBackend.notify_terminate_instances,
        AutoScalingBackend.resume_processes,
    )
    launch = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def launch_unless_held(group: Any, count: int, tags: Mapping[str, str]) -> None:  # noqa: ANN401
        held = HELD_BY & {process["ProcessName"] for process in group.suspended_processes}
        fault = None if held else world.take_fault("launch")
        if fault:
            world.activities.setdefault(group.name, []).insert(0, describe_failure(group, fault))
        elif not held:
            launch(group, count, tags)

    def notify(backend: Any, instance_ids: Sequence[str]) -> None:  # noqa: ANN401 - moto's class
        lost = {
            name
            for name, group in backend.autoscaling_groups.items()
            if any(state.instance.id in instance_ids for state in group.instance_states)
        }
        old_notify(backend, instance_ids)
        for name in lost:
            backend.update_attached_target_groups(name)

    def resume(backend: Any, group_name: str, scaling_processes: Sequence[str]) -> None:  # noqa: ANN401
        old_resume(backend, group_name, scaling_processes)
        group = backend.autoscaling_groups[group_name]
        group.set_desired_capacity(group.desired_capacity)

    def describe_activities(response: Any) -> ActionResult:  # noqa: ANN401 - moto's class
        name = response._get_param("AutoScalingGroupName")
        return ActionResult({"Activities": world.activities.get(name, [])})

    AutoScalingResponse.describe_scaling_activities = describe_activities
    FakeAutoScalingGroup.replace_autoscaling_group_instances = launch_unless_held
    AutoScalingBackend.notify_terminate_instances = notify
    AutoScalingBackend.resume_processes = resume


def describe_failure(group: Any, fault: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return the activity of a launch that failed, in Amazon's words."""
    now = datetime.now(UTC)
    return {
        "ActivityId": secrets.token_hex(8),
        "AutoScalingGroupName": group.name,
        "Cause": "an instance was started in response to a difference in capacity",
        "Description": "Launching a new EC2 instance",
        "StartTime": now,
        "EndTime": now,
        "StatusCode": "Failed",
        "StatusMessage": f"{fault['message']} Launching EC2 instance failed.",
        "Progress": 100,
    }
