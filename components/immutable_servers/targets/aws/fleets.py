"""Finds a generation's servers, asks for their health, and deletes fleets completely."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.values import Fleet, Health, Member, Scope, Server
from immutable_servers.errors import ImmutableError, RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.groups import BUSY, MISSING, Groups, find_members, read_fleet
from immutable_servers.targets.aws.names import make_filters, make_name, name_server, where

GONE_SECONDS = 900.0
"""How long AWS may take to end a group's servers."""
POLL_SECONDS = 5.0
CONSOLE_LINES = 25
MOST_CHECKS = 100
"""Instances whose checks EC2 gives at once; more are not needed to see what is wrong."""


class AwsFleets(Fleets):
    """The Auto Scaling groups of a stack's services, and their instances."""

    balancer: AwsBalancer

    def __init__(self, api: Api, groups: Groups, balancer: AwsBalancer) -> None:
        super().__init__(balancer)
        self.api, self.groups = api, groups

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Ask for the Auto Scaling groups with the service's tags."""
        fleets = [read_fleet(group) for group in self.groups.find_all(scope)]
        return {fleet.generation: fleet for fleet in fleets}

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Ask for the group's instances."""
        group = self.balancer.find_group(scope)
        port = group["Port"] if group else 0
        return [
            Server(name_server(scope, one), f"http://{found.get('PrivateIpAddress', one)}:{port}")
            for one, found in sorted(self.find_instances(scope).items())
        ]

    def find_instances(self, scope: Scope) -> Mapping[str, Mapping[str, Any]]:
        """Return what EC2 says of a generation's servers, by instance id."""
        members = find_members(self.groups.find(scope))
        if not members:
            return {}
        found = self.api.find_instances(where("tag:aws:autoscaling:groupName", make_name(scope)))
        return {one["InstanceId"]: one for one in found if one["InstanceId"] in members}

    def count_live(self, scope: Scope) -> int:
        """Return how many servers the live generation of a service has now; 0 without one."""
        found = self.find(replace(scope, generation=""))
        traffic = self.balancer.find_weights(scope)
        return max((found[one].servers for one in traffic if one in found), default=0)

    def _ask_health(self, scope: Scope, members: Mapping[str, Member]) -> Sequence[Health]:
        """Return what the load balancer's own health check says of every server."""
        states = find_members(self.groups.find(scope))
        return [self._describe(scope, one, states[one], members) for one in sorted(states)]

    def _describe(
        self, scope: Scope, instance: str, state: str, members: Mapping[str, Member]
    ) -> Health:
        name = name_server(scope, instance)
        member = members.get(name)
        if state != "InService":
            return Health(name, ok=False, detail=f"it is {state}")
        if member:
            return Health(name, ok=member.up, detail=member.detail)
        left = self.balancer.find_targets(scope).get(instance)
        detail = " ".join(left).strip() if left else "the balancer's group does not hold it"
        return Health(name, ok=False, detail=detail)

    def _explain_missing(self, scope: Scope) -> str:
        return next(iter(self.groups.explain_launches(scope)), "AWS has not launched it yet")

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return failed launches, instances' state and status checks, and the end of consoles."""
        lines = [f"launch: {said}" for said in self.groups.explain_launches(scope)[:5]]
        instances = self.find_instances(scope)
        checks = self._find_checks(sorted(instances))
        for one, instance in sorted(instances.items()):
            reason = instance.get("StateReason", {}).get("Message", "")
            lines.append(
                f"{name_server(scope, one)}: {instance['State']['Name']}"
                f"{f' ({reason})' if reason else ''}, checks: {checks.get(one, 'not known yet')}"
            )
            lines += self._read_console(one)
        return lines

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

    def _read_console(self, instance: str) -> Sequence[str]:
        """Return the last lines that a server printed on its console, as far as AWS has them."""
        try:
            answer = self.api.call("ec2", "get_console_output", InstanceId=instance)
        except ImmutableError as error:
            return [f"its console could not be read: {error.what}"]
        output = answer.get("Output") or ""
        try:
            text = base64.b64decode(output, validate=True).decode(errors="replace")
        except (ValueError, binascii.Error):
            text = output  # boto3 decodes it, other clients of the interface do not
        return [line.rstrip() for line in text.splitlines() if line.strip()][-CONSOLE_LINES:]

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
            api.call("ec2", "delete_launch_template", LaunchTemplateId=template)
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
        arns = [one["ListenerArn"] for one in self.balancer.find_listeners(scope)]
        for rule in list(self.balancer.find_test_rules(arn, arns)):
            api.call("elbv2", "delete_rule", RuleArn=rule)
        # The rule above is still known somewhere.
        api.call("elbv2", "delete_target_group", again=("ResourceInUse",), TargetGroupArn=arn)
