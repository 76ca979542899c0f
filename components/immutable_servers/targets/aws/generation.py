"""Declares a generation: firewall, launch template, target group, test rule, group, wait."""

import inspect
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import LaunchError, SettingsError
from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.found import choose_priority
from immutable_servers.targets.aws.graph import BalancerGraph, tcp
from immutable_servers.targets.aws.groups import encode
from immutable_servers.targets.aws.names import HEADER, RECORDS, make_name, make_tags
from immutable_servers.targets.aws.resources import AwsFleet

EVERYTHING = ["*"]
SUSPENDED = ("ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions")
"""Healing and scaling: off until a candidate is verified, so that it stays for inspection."""
COUNTS = ("desired_capacity", "min_size", "max_size")
"""Arguments of a group that may change once it exists."""


class AwsGraph(BalancerGraph):
    """The resources of a stack, declared in one run of the program."""

    def declare_fleet(
        self, name: str, spec: Mapping[str, Input[Any]], *, frozen: bool, opts: ResourceOptions
    ) -> pulumi.CustomResource:
        """Declare all of a generation, ending with what waits for its servers.

        Raises:
            LaunchError: The balancer was not declared before.
        """
        if not self.declared:
            raise LaunchError("A fleet is declared after its balancer", facts=[name])
        return Maker(self, name, spec, frozen=frozen, opts=opts).declare()


class Maker:
    """Declares one generation's resources, each under the generation's name."""

    def __init__(
        self,
        graph: BalancerGraph,
        name: str,
        spec: Mapping[str, Input[Any]],
        *,
        frozen: bool,
        opts: ResourceOptions,
    ) -> None:
        self.graph, self.settings, self.found = graph, graph.settings, graph.found
        self.name, self.spec, self.frozen, self.opts = name, spec, frozen, opts
        self.scope = Scope.from_plain(spec["scope"])  # type: ignore[arg-type]
        self.launch = Launch.from_plain(spec["launch"])  # type: ignore[arg-type]
        self.title = make_name(self.scope)
        self.tags = make_tags(self.scope)

    def declare(self) -> AwsFleet:
        """Declare all of it; return what is done when the servers are healthy."""
        firewall, rules = self._declare_firewall()
        launch_template = self._declare_template(firewall)
        target_group = self._declare_target_group()
        rule = self._declare_test_rule(target_group)
        group = self._declare_group(launch_template, target_group, [rule, *rules])
        passed = ("scope", "launch", "servers", "balancer", "window_ends")
        inputs = {
            "settings": self.settings.model_dump(mode="json"),
            "group": group.id,
            **{key: self.spec[key] for key in passed},
        }
        depends = [self._declare_scaling(group)] if self.settings.scaling else []
        opts = ResourceOptions.merge(self.opts, ResourceOptions(depends_on=depends))
        return AwsFleet(self.name, inputs, frozen=self.frozen, opts=opts)

    def _options(self, found: str | None) -> ResourceOptions:
        """Ignore every change of what exists, also of what a killed run left."""
        ignore = EVERYTHING if self.frozen or found else None
        return self.graph.options(self.opts, found, ignore=ignore)

    def _declare_firewall(self) -> tuple[aws.ec2.SecurityGroup, list[pulumi.Resource]]:
        """Declare who reaches the servers: the balancer, on the service's port.

        A generation has its own, so that nothing that is changed for the next one shuts it off.
        """
        group = aws.ec2.SecurityGroup(
            self.name,
            name=self.title,
            description="Servers of a generation",
            vpc_id=self.graph.network.vpc,
            tags=self.tags,
            opts=self._options(self.found.security_groups.get(self.title)),
        )
        source = {"referenced_security_group_id": self.graph.group.id}
        rules = {"balancer": {**tcp(self.launch.port), **source}}
        return group, self.graph.declare_rules(
            self.scope, group, rules, self.opts, frozen=self.frozen
        )

    def _declare_template(self, firewall: aws.ec2.SecurityGroup) -> aws.ec2.LaunchTemplate:
        try:
            shape = template.render_shape(self.settings, self.launch)
        except SettingsError:
            # A size that a generation was launched with may have left the settings since.
            if not self.frozen:
                raise
            shape = {}
        cards = [
            {**card, "security_groups": [firewall.id]}
            for card in shape.pop("network_interfaces", [])
        ]
        user_data = Output.all(self.spec["public_key"], self.spec["window_ends"]).apply(
            lambda found: encode(template.render_user_data(self.scope, self.launch, *found))
        )
        arguments = {
            "image_id": self.spec["artifact"],
            "user_data": user_data,
            "network_interfaces": cards,
            "tag_specifications": [
                {"resource_type": kind, "tags": self.tags} for kind in template.TAGGED
            ],
            **shape,
            **check_overrides(self.launch.overrides),
        }
        return aws.ec2.LaunchTemplate(
            self.name,
            name=self.title,
            tags=self.tags,
            opts=self._options(self.found.templates.get(self.title)),
            **arguments,
        )

    def _declare_target_group(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            self.name,
            name=self.title,
            port=self.launch.port,
            protocol="HTTP",
            target_type="instance",
            vpc_id=self.graph.network.vpc,
            deregistration_delay=30,
            health_check={
                "path": self.launch.health,
                "port": "traffic-port",
                "protocol": "HTTP",
                "matcher": "200-299",
                "interval": 5,
                "timeout": 3,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=self.tags,
            opts=self._options(self.found.find_target_group(self.scope)),
        )

    def _declare_test_rule(self, target_group: aws.lb.TargetGroup) -> aws.lb.ListenerRule:
        """Declare the rule without which the balancer would not check the servers' health."""
        port, listener = self.graph.listeners[self.scope.service]
        taken = self.graph.taken[port]
        number = choose_priority(self.scope.generation, taken)
        taken.add(number)
        found = self.found.find_rule(self.found.find_target_group(self.scope))
        header = {"http_header_name": HEADER, "values": [self.name]}
        return aws.lb.ListenerRule(
            self.name,
            listener_arn=listener.arn,
            priority=number,
            conditions=[{"http_header": header}],
            actions=[{"type": "forward", "target_group_arn": target_group.arn}],
            tags=self.tags,
            opts=self._options(found),
        )

    def _declare_group(
        self,
        launch_template: aws.ec2.LaunchTemplate,
        target_group: aws.lb.TargetGroup,
        depends: list[pulumi.Resource],
    ) -> aws.autoscaling.Group:
        version = launch_template.latest_version.apply(str)
        arguments: dict[str, Any] = {
            "name": self.title,
            "vpc_zone_identifiers": list(self.graph.network.subnets),
            # A number, not `$Latest`: what is launched later is what was verified.
            "launch_template": {"id": launch_template.id, "version": version},
            "target_group_arns": [target_group.arn],
            "health_check_type": "ELB",
            "health_check_grace_period": int(self.settings.boot_deadline),
            "suspended_processes": list(SUSPENDED),
            # `AwsFleet` waits instead, and a deletion does not wait for the servers' own end.
            "wait_for_capacity_timeout": "0",
            "force_delete": True,
            "tags": Output.from_input(self.spec["record"]).apply(self._render_tags),
        }
        found = self.found.groups.get(self.title)
        # Of a group that exists only the counts follow the settings; with scaling AWS's own stays.
        fixed = [*arguments, *(["desired_capacity"] if self.settings.scaling else [])]
        ignore = fixed if self.frozen or found else None
        options = self.graph.options(self.opts, found, ignore=ignore, depends=depends)
        return aws.autoscaling.Group(self.name, opts=options, **arguments, **self._find_counts())

    def _render_tags(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the group's tags; servers get theirs from the launch template."""
        tags = {**self.tags, **RECORDS.render(record)}.items()
        return [{"key": key, "value": value, "propagate_at_launch": False} for key, value in tags]

    def _find_counts(self) -> dict[str, Input[Any]]:
        """Return the group's sizes; a scaled one starts with as many as the live one has now."""
        servers = self.spec["servers"]
        if not self.settings.scaling:
            return dict.fromkeys(COUNTS, servers)
        most = self.settings.scaling.most
        live = 0 if self.frozen else self.graph.fleets.count_live(self.scope)
        least = Output.from_input(servers).apply(int)
        return {
            "desired_capacity": least.apply(lambda count: max(count, min(live, most))),
            "min_size": servers,
            "max_size": least.apply(lambda count: max(count, most)),
        }

    def _declare_scaling(self, group: aws.autoscaling.Group) -> aws.autoscaling.Policy:
        cpu = self.settings.scaling.cpu if self.settings.scaling else 0
        metric = {"predefined_metric_type": "ASGAverageCPUUtilization"}
        wanted = {"predefined_metric_specification": metric, "target_value": float(cpu)}
        return aws.autoscaling.Policy(
            self.name,
            name=self.title,
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration=wanted,
            opts=self.graph.options(self.opts, None, ignore=EVERYTHING if self.frozen else None),
        )


def check_overrides(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return launch arguments that a service passes through.

    Raises:
        SettingsError: A launch template has no such argument, or it is one that makes a generation.
    """
    known = set(inspect.signature(aws.ec2.LaunchTemplateArgs.__init__).parameters) - {"self"}
    wrong = [f"{key} is the program's own" for key in overrides if key in template.OURS]
    wrong += [f"there is no {key}" for key in overrides if key not in known]
    if wrong:
        raise SettingsError(
            "launch_overrides cannot be passed to the launch template",
            facts=wrong,
            todo="Use the arguments of aws.ec2.LaunchTemplate in Python's spelling:"
            " https://www.pulumi.com/registry/packages/aws/api-docs/ec2/launchtemplate/",
        )
    return overrides
