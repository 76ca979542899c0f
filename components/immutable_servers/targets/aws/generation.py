"""Declares a generation: firewall, launch template, target group, test rule, group, wait."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output

from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.found import Found, choose_priority
from immutable_servers.targets.aws.graph import BalancerGraph, tcp
from immutable_servers.targets.aws.groups import encode
from immutable_servers.targets.aws.names import HEADER, RECORDS, make_name, make_tags
from immutable_servers.targets.aws.network import choose_subnets
from immutable_servers.targets.aws.resources import AwsFleet, AwsFleetProvider
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.cloud.generation import CloudMaker
from immutable_servers.targets.shared.health import ACCEPTED_TEXT, ANSWER_SECONDS

NO_ADDRESS = "192.0.2.0/24"
"""Addresses of nobody, reserved for documentation (https://www.rfc-editor.org/rfc/rfc5737): no
connection comes from there, and what a request says of itself is not asked.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html"""
SUSPENDED = ("ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions")
"""Healing and scaling: off until a candidate is verified, so that it stays for inspection."""
COUNTS = ("desired_capacity", "min_size", "max_size")
"""Arguments of a group that may change once it exists."""


class AwsMaker(CloudMaker):
    """Declares the resources of one generation."""

    fleet, provider = AwsFleet, AwsFleetProvider
    graph: BalancerGraph
    found: Found
    settings: AwsSettings

    def prepare(self) -> Sequence[pulumi.CustomResource]:
        """Declare what takes its time before a server can be launched; return what it waits for."""
        self.title, self.tags = make_name(self.scope), make_tags(self.scope)
        self.firewall, rules = self._declare_firewall()
        self.target_group = self._declare_target_group()
        self.prepared = [self._declare_test_rule(), *rules]
        return self.prepared

    def _declare_servers(self) -> Mapping[str, Input[str]]:
        launch_template = self._declare_template()
        self.depends = self.prepared
        return {"group": self._declare_group(launch_template).id}

    def _declare_firewall(self) -> tuple[aws.ec2.SecurityGroup, list[pulumi.CustomResource]]:
        """Declare who reaches the servers: the balancer, on the service's port.

        A generation has its own, so that nothing that is changed for the next one shuts it off.
        """
        arguments = {
            "name": self.title,
            "description": "Servers of a generation",
            "vpc_id": self.graph.network.vpc,
            "tags": self.tags,
        }
        found = self.found.security_groups.get(self.title)
        group = self.make(aws.ec2.SecurityGroup, found, arguments)
        source = {"referenced_security_group_id": self.graph.group.id}
        rules = {"balancer": {**tcp(self.launch.port), **source}}
        return group, self.graph.declare_rules(
            self.scope, group, rules, self.opts, frozen=self.frozen
        )

    def _declare_template(self) -> aws.ec2.LaunchTemplate:
        shape = self.find_shape(template.render_shape)
        cards = [
            {**card, "security_groups": [self.firewall.id]}
            for card in shape.pop("network_interfaces", [])
        ]
        render = partial(
            template.render_user_data, self.scope, self.launch, logs=self.settings.shipping
        )
        arguments = {
            "name": self.title,
            "tags": self.tags,
            "image_id": self.spec["artifact"],
            "user_data": self.render_opening(render).apply(encode),
            "network_interfaces": cards,
            "tag_specifications": [
                {"resource_type": kind, "tags": self.tags} for kind in template.TAGGED
            ],
            **shape,
            **self.check_overrides(
                aws.ec2.LaunchTemplateArgs, template.OURS, "aws.ec2.LaunchTemplate"
            ),
        }
        self.kind = str(arguments.get("instance_type", ""))
        # What a killed run left without a group launches nothing: it gets this run's window.
        found = self.found.templates.get(self.title)
        return self.make(aws.ec2.LaunchTemplate, found, arguments, stays=self.is_there)

    def _declare_target_group(self) -> aws.lb.TargetGroup:
        arguments: dict[str, Any] = {
            "name": self.title,
            "port": self.launch.port,
            "protocol": "HTTP",
            "target_type": "instance",
            "vpc_id": self.graph.network.vpc,
            "deregistration_delay": 30,
            "health_check": {
                "path": self.launch.health,
                "port": "traffic-port",
                "protocol": "HTTP",
                "matcher": ACCEPTED_TEXT,
                "interval": ANSWER_SECONDS + 1,  # AWS asks again only after that
                "timeout": ANSWER_SECONDS,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            "tags": self.tags,
        }
        found = self.found.find_target_group(self.scope)
        return self.make(aws.lb.TargetGroup, found, arguments)

    def _declare_test_rule(self) -> aws.lb.ListenerRule:
        """Declare the rule without which the balancer would not check the servers' health.

        No request fits it: a generation has no visitors before it is verified, nor as a standby.
        """
        port, listener = self.graph.listeners[self.scope.service]
        taken = self.graph.taken[port]
        number = choose_priority(self.scope.generation, taken)
        taken.add(number)
        found = self.found.find_rule(self.found.find_target_group(self.scope), port)
        arguments = {
            "priority": number,
            "actions": [{"type": "forward", "target_group_arn": self.target_group.arn}],
            "tags": self.tags,
        }
        # The rest may follow the program: a rule is no server, and with it nobody is served.
        free = {
            "listener_arn": self.wait_for_others(listener.arn),
            "conditions": render_conditions(self.name),
        }
        return self.make(aws.lb.ListenerRule, found, arguments, free)

    def _declare_group(self, launch_template: aws.ec2.LaunchTemplate) -> aws.autoscaling.Group:
        version, subnets = launch_template.latest_version.apply(str), self.graph.network.subnets
        chosen = (
            [*subnets]
            if self.is_there or not self.kind
            else choose_subnets(self.graph.api, subnets, self.kind)
        )
        arguments: dict[str, Any] = {
            "name": self.title,
            "vpc_zone_identifiers": chosen,
            # A number, not `$Latest`: what is launched later is what was verified.
            "launch_template": {"id": launch_template.id, "version": version},
            "target_group_arns": [self.target_group.arn],
            "health_check_type": "ELB",
            "health_check_grace_period": int(self.settings.boot_deadline),
            "suspended_processes": list(SUSPENDED),
            "tags": Output.from_input(self.spec["record"]).apply(self._render_tags),
        }
        # Of a group that exists only the counts follow the settings.
        free = {
            **dict.fromkeys(COUNTS, self.spec["servers"]),
            # `AwsFleet` waits instead, and a deletion does not wait for the servers' own end.
            "wait_for_capacity_timeout": "0",
            "force_delete": True,
        }
        found = self.title if self.title in self.found.groups else None
        return self.make(aws.autoscaling.Group, found, arguments, free)

    def _render_tags(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the group's tags; servers get theirs from the launch template."""
        tags = {**self.tags, **RECORDS.render(record)}.items()
        return [{"key": key, "value": value, "propagate_at_launch": False} for key, value in tags]


def render_conditions(name: str) -> list[dict[str, Any]]:
    """Return the conditions of a generation's test rule, which no request fulfils together."""
    header = {"http_header_name": HEADER, "values": [name]}
    return [{"http_header": header}, {"source_ip": {"values": [NO_ADDRESS]}}]


class AwsGraph(BalancerGraph):
    """The resources of a stack, declared in one run of the program."""

    maker = AwsMaker
