"""How a generation's fleet goes from AWS: drained by the balancer, then deleted to the end."""

from operator import not_

from immutable_servers.contract.values import Say, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws import balancer, dead_bakes, fleets
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import make_filters, make_name
from immutable_servers.targets.aws.record import LEAVING

GONE_SECONDS = 900.0
"""How long AWS may take to end a group's servers."""
POLL_SECONDS = 5.0
GROWING = ("Launch", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions")
"""Auto Scaling's processes that add servers to a group."""
MOST_DRAIN = 3600
"""Longest deregistration delay of a target group, in seconds."""


def drain(api: Api, scope: Scope, seconds: float, say: Say) -> None:
    """Take a generation that goes out of its target group, and wait until requests have ended.

    Meanwhile AWS adds no server to it, nor one for those that the balancer does not hold any more.

    The load balancer itself waits for open requests, for its deregistration delay: it is set to
    `seconds` first. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
    """
    if _start_leaving(api, scope):
        api.call(
            "autoscaling",
            "suspend_processes",
            missing=fleets.MISSING_GROUP,
            again=fleets.BUSY_GROUP,
            AutoScalingGroupName=make_name(scope),
            ScalingProcesses=list(GROWING),
        )
    group = balancer.find_group(api, scope)
    if group is None:
        return
    arn = group["TargetGroupArn"]
    seconds = min(seconds, MOST_DRAIN)
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(int(seconds))}
    api.call("elbv2", "modify_target_group_attributes", TargetGroupArn=arn, Attributes=[attribute])
    targets = [{"Id": one} for one in balancer.find_targets(api, arn)]
    if targets:
        api.call("elbv2", "deregister_targets", TargetGroupArn=arn, Targets=targets)
    left = wait_until(
        f"draining {scope.name}",
        seconds + 2 * POLL_SECONDS,
        lambda: balancer.find_targets(api, arn),
        done=not_,
        every=POLL_SECONDS,
        stoppable=False,  # Draining is not cut short (docs/decisions/0013).
    )
    say(f"drained with {len(left)} servers left after {seconds:.0f} s" if left else "drained")


def delete_fleet(api: Api, scope: Scope) -> None:
    """Delete a fleet that Pulumi does not know, or what is left of it; a missing one is no error.

    Raises:
        RetirementError: The load balancer points to it, or it does not end.
        TrafficError: The load balancer cannot be read.
    """
    weight = balancer.find_traffic(api, scope).get(scope.generation, 0)
    if weight:
        raise RetirementError(
            f"The fleet {scope.service}-{scope.generation} still serves, so it is not deleted",
            facts=[f"The load balancer gives it {weight} % of the traffic."],
            todo="Run ./immutable up: it sets the traffic first.",
        )
    name = make_name(scope)
    if _start_leaving(api, scope):
        api.call(
            "autoscaling",
            "delete_auto_scaling_group",
            missing=fleets.MISSING_GROUP,
            again=fleets.BUSY_GROUP,
            kind=RetirementError,
            AutoScalingGroupName=name,
            ForceDelete=True,
        )
        _wait_until_gone(api, scope)
    _delete_target_group(api, scope)
    templates = api.list(
        "ec2", "describe_launch_templates", "LaunchTemplates", Filters=make_filters(scope)
    )
    for one in templates:
        api.call(
            "ec2",
            "delete_launch_template",
            kind=RetirementError,
            LaunchTemplateId=one["LaunchTemplateId"],
        )
    for one in fleets.find_security_groups(api, scope):
        dead_bakes.remove_group(api, one["GroupId"], kind=RetirementError)


def _start_leaving(api: Api, scope: Scope) -> bool:
    """Mark a fleet as one that goes; say whether there is one."""
    if fleets.find_group(api, scope) is None:
        return False
    fleets.write_tag(api, scope, LEAVING, "yes")
    return True


def _delete_target_group(api: Api, scope: Scope) -> None:
    group = balancer.find_group(api, scope)
    if group is None:
        return
    arn = group["TargetGroupArn"]
    listeners = [
        one["ListenerArn"]
        for one in balancer.find_listeners(api, balancer.find_balancer(api, scope))
    ]
    for rule in list(balancer.find_test_rules(api, arn, listeners)):
        api.call("elbv2", "delete_rule", kind=RetirementError, RuleArn=rule)
    api.call(
        "elbv2",
        "delete_target_group",
        kind=RetirementError,
        again=("ResourceInUse",),  # the rule above is still known somewhere
        TargetGroupArn=arn,
    )


def _wait_until_gone(api: Api, scope: Scope) -> None:
    def is_gone() -> bool:
        return fleets.find_group(api, scope) is None

    what = f"waiting for the end of {scope.name}"
    if not wait_until(what, GONE_SECONDS, is_gone, every=POLL_SECONDS):
        raise RetirementError(
            f"The fleet {scope.service}-{scope.generation} was not gone in time",
            facts=[f"AWS still has the Auto Scaling group {make_name(scope)}"],
            todo="Run ./immutable up again: it goes on with the deletion.",
        )
