"""Makes moto's models answer as Amazon does where they do not, with what the world knows.

- The default VPC is on this machine's loopback, so that an instance's private address can be
  used; its public one is the same.
- A load balancer's DNS name is an address there too.
- An account sees AMIs that are shared with it, but not their tags.
- A disk of a launch template without a size is as large as the AMI's.
- A target's health is what a check found, not always `healthy`; one that was taken out drains.
- An Auto Scaling group puts a replaced instance into its target groups, and replaces none while
  that is suspended.
- Launches that failed are told as activities.
- A second version of a launch template has user data, as the first one has.
"""

import copy
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cloud_world import World
from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import InvalidAMIIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.elbv2.models import (
    ELBv2Backend,
    FakeHealthStatus,
    FakeTargetGroup,
)

HELD_BY = frozenset(("Launch", "HealthCheck", "ReplaceUnhealthy", "Terminate"))
"""A group that has one of these suspended replaces nothing.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-suspend-resume-processes.html
"""
DISK = 8
"""GiB of every AMI's root disk."""
Said = tuple[str, str, str]
"""State, reason and description of a target."""
NOT_IN_USE: Said = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
DRAINING: Said = (
    "draining",
    "Target.DeregistrationInProgress",
    "Target deregistration is in progress",
)


def patch(world: World) -> None:
    """Replace the methods that fall short."""
    patch_network(world)
    patch_images()
    patch_health(world)
    patch_scaling(world)


def patch_network(world: World) -> None:
    """Put networks and balancers onto the loopback, and give each disk a size."""
    create = ELBv2Backend.create_load_balancer
    assign = NetworkInterface.check_auto_public_ip

    def check_auto_public_ip(card: Any) -> None:  # noqa: ANN401 - moto's class
        assign(card)
        if card.public_ip:
            card.public_ip = card.private_ip_address

    add_disk = Instance.add_block_device

    def add_block_device(instance: Any, size: int | None, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        return add_disk(instance, size or DISK, *args, **named)

    def create_default_vpc(backend: Any) -> Any:  # noqa: ANN401 - moto's classes
        vpc = backend.create_vpc(cidr_block=f"{world.network}.0.0/16", is_default=True)
        for zone in backend.describe_availability_zones():
            backend.create_default_subnet(zone.name)
        return vpc

    def create_load_balancer(backend: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        taken = {balancer.dns_name for balancer, _ in world.list_listeners()}
        taken |= {balancer.dns_name for balancer in backend.load_balancers.values()}
        made = create(backend, *args, **named)
        addresses = map(world.find_balancer_address, range(1, 255))
        made.dns_name = next(address for address in addresses if address not in taken)
        return made

    EC2Backend.create_default_vpc = create_default_vpc
    Instance.add_block_device = add_block_device
    NetworkInterface.check_auto_public_ip = check_auto_public_ip
    ELBv2Backend.create_load_balancer = create_load_balancer


def patch_images() -> None:
    """Show shared AMIs.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html
    """
    describe = EC2Backend.describe_images

    def describe_images(backend: Any, *args: Any, **named: Any) -> list[Any]:  # noqa: ANN401
        grants = ({"UserId": backend.account_id}, {"Group": "all"})
        own = _describe_if_known(describe, backend, *args, **named)
        found = {ami.id: ami for ami in own}
        for account in [*ec2_backends]:
            for ami in _describe_if_known(
                describe, ec2_backends[account][backend.region_name], *args, **named
            ):
                if any(grant in ami.launch_permissions for grant in grants):
                    found.setdefault(ami.id, _without_tags(ami))
        return [*found.values()] or describe(backend, *args, **named)

    EC2Backend.describe_images = describe_images


def _describe_if_known(describe: Any, backend: Any, *args: Any, **named: Any) -> list[Any]:  # noqa: ANN401
    try:
        return [*describe(backend, *args, **named)]
    except InvalidAMIIdError:
        return []


def _without_tags(ami: Any) -> Any:  # noqa: ANN401 - moto's AMI
    seen = copy.copy(ami)
    seen.get_tags = list
    return seen


def patch_health(world: World) -> None:
    """Answer for targets with what was checked."""
    old_health: Callable[..., Any] = FakeTargetGroup.health_for
    register, deregister = FakeTargetGroup.register, FakeTargetGroup.deregister
    describe = ELBv2Backend.describe_target_health

    def health_for(group: Any, target: Mapping[str, Any], ec2_backend: Any) -> Any:  # noqa: ANN401
        plain = old_health(group, target, ec2_backend)
        found = find_health(world, group, target["Id"], plain.status)
        if found is None:
            return plain
        port, check = plain.port, plain.health_check_port
        return FakeHealthStatus(target["Id"], port, check, *(word or None for word in found))

    def take_in(group: Any, targets: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401
        for target in targets:
            if target["Id"] not in group.targets:
                world.health.targets.pop((group.arn, target["Id"]), None)
        register(group, targets)

    def take_out(group: Any, targets: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401
        delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
        deregister(group, targets)
        for target in targets:
            world.health.leaving[group.arn, target["Id"]] = time.monotonic() + delay

    def describe_target_health(
        backend: Any,  # noqa: ANN401 - moto's class
        target_group_arn: str,
        targets: Sequence[Mapping[str, Any]],
    ) -> Any:  # noqa: ANN401 - moto's class
        found = describe(backend, target_group_arn, targets)
        group = backend.target_groups[target_group_arn]
        leaving = [one for one in group.deregistered_targets.values() if not targets]
        draining = [one for one in leaving if world.health.is_draining((group.arn, one["Id"]))]
        return [*found, *(group.health_for(one, backend.ec2_backend) for one in draining)]

    FakeTargetGroup.health_for = health_for
    FakeTargetGroup.register = take_in
    FakeTargetGroup.deregister = take_out
    ELBv2Backend.describe_target_health = describe_target_health


def find_health(world: World, group: Any, identity: str, plain: str) -> Said | None:  # noqa: ANN401
    """Return what is known of a target better than moto, which says `plain` of it."""
    key = (group.arn, identity)
    if identity not in group.targets:
        return DRAINING if world.health.is_draining(key) else None
    if plain != "healthy":
        return None
    if group.arn not in world.find_used():
        return NOT_IN_USE
    known = world.find_target(key)
    return known.state, known.reason, known.description


def patch_scaling(world: World) -> None:
    """Replace instances as the group's processes say."""

    def find_user_data(version: Any) -> Base64EncodedString | None:  # noqa: ANN401 - moto's class
        text = version.data.get("UserData")
        return Base64EncodedString(text) if isinstance(text, str) else text

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
    LaunchTemplateVersion.user_data = property(find_user_data)
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
