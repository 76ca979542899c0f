"""Auto Scaling of the emulated cloud."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from clouds.aws.emulation.cloud_world import World
from clouds.aws.emulation.patched_network import refuse_zone

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
            for _ in range(count):
                launch_one(world, launch, group, tags)

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

    patch_attaching()
    AutoScalingResponse.describe_scaling_activities = describe_activities
    FakeAutoScalingGroup.replace_autoscaling_group_instances = launch_unless_held
    AutoScalingBackend.notify_terminate_instances = notify
    AutoScalingBackend.resume_processes = resume


def patch_attaching() -> None:
    """Register each new server once: what somebody has taken out is not taken in again.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/attach-load-balancer-asg.html
    """
    attached: set[tuple[str, str]] = set()

    def attach(backend: Any, group_name: str) -> None:  # noqa: ANN401 - moto's class
        group = backend.autoscaling_groups[group_name]
        there = [state.instance.id for state in group.instance_states]
        for arn in group.target_group_arns or ():
            (held,) = backend.elbv2_backend.describe_target_groups(None, [arn], None)
            new = [{"Id": one, "Port": held.port} for one in there if (arn, one) not in attached]
            if new:
                backend.elbv2_backend.register_targets(arn, new)
                attached.update((arn, one["Id"]) for one in new)

    AutoScalingBackend.update_attached_target_groups = attach


def launch_one(
    world: World,
    launch: Callable[..., None],
    group: Any,  # noqa: ANN401 - moto's class
    tags: Mapping[str, str],
) -> None:
    """Launch in the zone with the fewest servers, or in the next that has room.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html
    """
    asked = group.vpc_zone_identifier
    for subnet in find_subnets(group):
        refusal = refuse_zone(world, subnet)
        if refusal is None:
            group.vpc_zone_identifier = subnet.id
            try:
                launch(group, 1, {**tags})
            finally:
                group.vpc_zone_identifier = asked
            return
        fault = {"message": refusal.message}
        world.activities.setdefault(group.name, []).insert(0, describe_failure(group, fault))


def find_subnets(group: Any) -> list[Any]:  # noqa: ANN401 - moto's classes
    """Return a group's subnets, those with the fewest of its servers first."""
    backend = group.autoscaling_backend.ec2_backend
    subnets = [backend.get_subnet(one) for one in group.vpc_zone_identifier.split(",")]
    there = Counter(state.instance.subnet_id for state in group.instance_states)
    return sorted(subnets, key=lambda one: (there[one.id], one.availability_zone))


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
