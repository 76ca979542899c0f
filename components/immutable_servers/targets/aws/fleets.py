"""Finds a generation's servers, asks for their health, and deletes fleets completely."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial

from immutable_servers.contract.values import Fleet, Health, Member, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws.api import NO_TEMPLATE, Api
from immutable_servers.targets.aws.balancer import NO_GROUP, AwsBalancer
from immutable_servers.targets.aws.groups import (
    BUSY,
    IN_SERVICE,
    MISSING,
    Groups,
    find_members,
    read_fleet,
)
from immutable_servers.targets.aws.names import make_filters, make_name, name_server, where
from immutable_servers.targets.aws.pointers import choose_test_rules
from immutable_servers.targets.cloud.fleets import CloudFleets, Thing

GONE_SECONDS = 900.0
"""How long AWS may take to end a group's servers."""
POLL_SECONDS = 5.0
NOT_NITRO = ("UnsupportedOperation", "InvalidParameterCombination")
"""EC2's codes for an instance whose console it cannot read at any moment."""
MOST_CHECKS = 100
"""Instances whose checks EC2 gives at once; more are not needed to see what is wrong."""


class AwsFleets(CloudFleets):
    """The Auto Scaling groups of a stack's services, and their instances."""

    balancer: AwsBalancer
    groups: Groups
    unmade = "AWS has not launched it yet"

    def __init__(self, api: Api, groups: Groups, balancer: AwsBalancer) -> None:
        super().__init__(balancer)
        self.api, self.groups = api, groups

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Ask for the Auto Scaling groups with the service's tags."""
        fleets = [read_fleet(group) for group in self.groups.find_all(scope)]
        return {fleet.generation: fleet for fleet in fleets}

    def _find_port(self, scope: Scope) -> int:
        group = self.balancer.find_group(scope)
        return int(group["Port"]) if group else 0

    def _describe_server(self, scope: Scope, name: str, instance: Thing) -> tuple[str, str]:
        return name_server(scope, name), instance.get("PrivateIpAddress", name)

    def find_instances(self, scope: Scope) -> Mapping[str, Thing]:
        """Return what EC2 says of a generation's servers, by instance id."""
        members = find_members(self.groups.find(scope))
        if not members:
            return {}
        found = self.api.find_instances(where("tag:aws:autoscaling:groupName", make_name(scope)))
        return {one["InstanceId"]: one for one in found if one["InstanceId"] in members}

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Return what the load balancer's own health check says of every server."""
        states = fleet.states if fleet else {}
        return [self._describe(scope, one, states[one], members) for one in sorted(states)]

    def _describe(
        self, scope: Scope, name: str, state: str, members: Mapping[str, Member]
    ) -> Health:
        member = members.get(name)
        if state != IN_SERVICE:
            return Health(name, ok=False, detail=f"it is {state}")
        if member:
            return Health(name, ok=member.up, detail=member.detail)
        targets = self.balancer.find_targets(scope).items()
        left = {name_server(scope, one): " ".join(said).strip() for one, said in targets}
        detail = left.get(name) or "the balancer's group does not hold it"
        return Health(name, ok=False, detail=detail)

    def _describe_states(self, _scope: Scope, instances: Mapping[str, Thing]) -> Mapping[str, str]:
        """Return instances' states with their reasons, and EC2's own checks."""
        checks = self._find_checks(sorted(instances))
        found: dict[str, str] = {}
        for name, one in instances.items():
            reason = one.get("StateReason", {}).get("Message", "")
            why = f" ({reason})" if reason else ""
            check = checks.get(name, "not known yet")
            found[name] = f"{one['State']['Name']}{why}, checks: {check}"
        return found

    def _find_checks(self, instances: Sequence[str]) -> Mapping[str, str]:
        if not instances:
            return {}
        asked = instances[:MOST_CHECKS]
        answer = self.api.call(
            "ec2", "describe_instance_status", InstanceIds=asked, IncludeAllInstances=True
        )
        return {
            one["InstanceId"]: f"instance {one['InstanceStatus']['Status']}, "
            f"system {one['SystemStatus']['Status']}"
            for one in answer["InstanceStatuses"]
        }

    def find_console(self, instance: Thing) -> str:
        """Return what a server has printed, as far as AWS has it: another machine's words.

        Only instances on Nitro say what they print now; others do once a while after their boot:
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
        """
        ask = partial(self.api.call, "ec2", "get_console_output", InstanceId=instance["InstanceId"])
        answer = ask(missing=NOT_NITRO, Latest=True) or ask()
        output = answer.get("Output") or ""
        try:
            return base64.b64decode(output, validate=True).decode(errors="replace")
        except (ValueError, binascii.Error):
            return str(output)  # boto3 decodes it, other clients of the interface do not

    def _delete(self, scope: Scope) -> None:
        """Delete group, target group, launch template and firewall of a generation."""
        api = self.api.raising(RetirementError)
        if self.groups.mark_leaving(scope):
            api.call(
                "autoscaling",
                "delete_auto_scaling_group",
                missing=MISSING,
                again=BUSY,
                AutoScalingGroupName=make_name(scope),
                ForceDelete=True,
            )
            self._wait_until_gone(scope)
        self._delete_target_group(api, scope)
        filters = make_filters(scope)
        for one in api.list("ec2", "describe_launch_templates", Filters=filters):
            template = one["LaunchTemplateId"]
            api.call(
                "ec2", "delete_launch_template", missing=NO_TEMPLATE, LaunchTemplateId=template
            )
        for group in api.find_security_groups(*filters):
            api.delete_security_group(group["GroupId"])

    def _wait_until_gone(self, scope: Scope) -> None:
        what = f"waiting for the end of {scope.name}"
        gone = wait_until(
            what, GONE_SECONDS, lambda: not self.groups.find(scope), every=POLL_SECONDS
        )
        if not gone:
            raise RetirementError(
                f"The fleet {scope.service}-{scope.generation} was not gone in time",
                facts=[f"AWS still has the Auto Scaling group {make_name(scope)}"],
                todo="Run ./immutable up again: it goes on with the deletion.",
            )

    def _delete_target_group(self, api: Api, scope: Scope) -> None:
        group = self.balancer.find_group(scope)
        if group is None:
            return
        arn = group["TargetGroupArn"]
        listeners = self.balancer.standing.find_listeners(scope)
        rules = [
            r for one in listeners for r in self.balancer.standing.find_rules(one["ListenerArn"])
        ]
        for rule in choose_test_rules(arn, rules):
            api.call("elbv2", "delete_rule", missing=("RuleNotFound",), RuleArn=rule)
        # The rule above is still known somewhere, and the group is where it has just gone.
        api.call(
            "elbv2",
            "delete_target_group",
            missing=NO_GROUP,
            again=("ResourceInUse",),
            TargetGroupArn=arn,
        )
