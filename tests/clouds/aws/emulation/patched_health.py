"""Target health of the emulated cloud."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from clouds.aws.emulation.cloud_world import World

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
