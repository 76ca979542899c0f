"""Declares a generation: firewall, health check, template, group, backend service, wait."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.values import ALL
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.generation import CloudMaker
from immutable_servers.targets.gcp import template
from immutable_servers.targets.gcp.found import Found
from immutable_servers.targets.gcp.graph import OPEN, SCHEME, BalancerGraph
from immutable_servers.targets.gcp.names import HEADER, describe, make_labels, make_name, name_tag
from immutable_servers.targets.gcp.network import find_zones
from immutable_servers.targets.gcp.resources import (
    GcpFleet,
    GcpFleetProvider,
    GcpGeneration,
    GcpGenerationProvider,
)
from immutable_servers.targets.gcp.scaling import OFF
from immutable_servers.targets.gcp.settings import GcpSettings, Scaling
from immutable_servers.targets.shared.health import ANSWER_SECONDS

BALANCER = ("35.191.0.0/16", "130.211.0.0/22")
"""Where requests and health checks come from.
https://docs.cloud.google.com/load-balancing/docs/https#firewall-rules"""
SHARE = {"balancing_mode": "UTILIZATION", "capacity_scaler": 1.0}
"""How the room of a group is measured, and that all of it is used."""
DRAIN_SECONDS = 30
"""How long the balancer goes on with open requests when it loses a server; the usual 300 s would
delay each deletion. https://docs.cloud.google.com/load-balancing/docs/enabling-connection-draining"""
PORT = "http"
"""The group's name for the service's port."""
LATER = ("auto_healing_policies", "distribution_policy_zones")
"""Arguments of a group that a program may leave out, and that are compared after a refresh."""


class GcpMaker(CloudMaker):
    """Declares the resources of one generation.

    The engine forgets them when they go; `GcpGeneration`, which comes first and so goes last, has
    them deleted.
    """

    fleet, provider = GcpFleet, GcpFleetProvider
    retains = True
    graph: BalancerGraph
    found: Found
    settings: GcpSettings

    def prepare(self) -> Sequence[pulumi.CustomResource]:
        """Declare what takes its time before a server can be launched; return what it waits for."""
        self.title = make_name(self.scope)
        self.named = {"name": self.title, "description": describe(self.scope)}
        self.limits = self.settings.scaling.get(self.scope.service)
        way = self.wait_for_others(self.graph.ways[self.scope.service].id)
        inputs = {"settings": self.graph.plain, "scope": self.scope.to_plain(), "way": way}
        if self.limits:
            inputs["scaled"] = True
        before = ResourceOptions(depends_on=[*self.graph.declare_base(self.scope)])
        opts = ResourceOptions.merge(self.opts, before)
        self.depends = [GcpGeneration(GcpGenerationProvider(), self.name, inputs, opts)]
        self.check = self._declare_check()
        return [*self.depends, self.check, self._declare_firewall()]

    def _declare_servers(self) -> Mapping[str, Input[Any]]:
        self.servers: Any = self.spec["servers"]  # a plain number, which the plan knows
        group = self._declare_group(self._declare_template())
        ids = {"group": group.id, "service": self._declare_service(group).id}
        if not self.limits:
            return ids
        before = ResourceOptions(depends_on=[self._declare_autoscaler(self.limits, group)])
        self.opts = ResourceOptions.merge(self.opts, before)
        return {**ids, "scaling": self.limits.model_dump()}

    def _declare_firewall(self) -> gcp.compute.Firewall:
        """Declare that the balancer reaches the servers on the service's port.

        A generation has its own, so that nothing that is changed for the next one shuts it off.
        """
        arguments = self.graph.describe_rule(
            self.scope,
            f"{self.title}-service",
            priority=OPEN,
            allows=[{"protocol": "tcp", "ports": [str(self.launch.port)]}],
            source_ranges=list(BALANCER),
        )
        found = self.found.find_firewall(arguments["name"])
        return self.make(gcp.compute.Firewall, found, arguments, stays=self.frozen)

    def _declare_check(self) -> gcp.compute.HealthCheck:
        """Declare how health is asked: Google takes a 200, and no other answer, for healthy."""
        arguments: dict[str, Any] = {
            **self.named,
            "check_interval_sec": ANSWER_SECONDS + 1,
            "timeout_sec": ANSWER_SECONDS,
            "healthy_threshold": 2,
            "unhealthy_threshold": 3,
            "http_health_check": {"port": self.launch.port, "request_path": self.launch.health},
        }
        found = self.found.find_check(self.title)
        return self.make(gcp.compute.HealthCheck, found, arguments)

    def _declare_template(self) -> gcp.compute.InstanceTemplate:
        launch, scope = self.launch, self.scope
        unknown: dict[str, Any] = {"machine_type": launch.size, "disks": [{}], "metadata": {}}
        shape = self.find_shape(template.render_shape) or unknown
        record = Output.from_input(self.spec["record"])
        metadata = record.apply(lambda record: template.render_metadata(scope, launch, record))
        labels = make_labels(scope)
        overrides = self.check_overrides(
            gcp.compute.InstanceTemplateArgs,
            template.OURS,
            "gcp.compute.InstanceTemplate",
            template.MASKED,
        )
        disk = {**shape["disks"][0], "source_image": self.spec["artifact"], "labels": labels}
        account = {"email": self.settings.find_account(scope), "scopes": [template.CLOUD_SCOPE]}
        arguments: dict[str, Any] = {
            **shape,
            **overrides,
            **self.named,
            "labels": labels,
            "metadata": metadata.apply(lambda own: {**shape["metadata"], **own}),
            "disks": [disk, *overrides.get("disks", ())],
            "service_account": account,
            "tags": [name_tag(scope), *overrides.get("tags", ())],
        }
        self.kind = str(arguments["machine_type"])
        found = self.found.find_template(self.title)
        return self.make(gcp.compute.InstanceTemplate, found, arguments)

    def _declare_group(
        self, launched_from: gcp.compute.InstanceTemplate
    ) -> gcp.compute.RegionInstanceGroupManager:
        zones = [] if self.is_there else find_zones(self.graph.api, self.kind)
        window = self.render_opening(template.render_window)
        end = Output.from_input(self.spec["window_ends"]).apply(lambda end: str(int(end or 0)))
        arguments: dict[str, Any] = {
            "name": self.title,
            "base_instance_name": self.title,
            "region": self.settings.region,
            # They say when the window of its launch ends, also later.
            "description": end.apply(lambda end: describe(self.scope, **{ends.WINDOW: end})),
            # With the usual shape a zone without room would stop the whole group.
            # https://docs.cloud.google.com/compute/docs/instance-groups/regional-mig-distribution-shape
            "distribution_policy_target_shape": "BALANCED",
            "versions": [{"instance_template": launched_from.self_link}],
            "named_ports": [{"name": PORT, "port": self.launch.port}],
            # What exists is never touched: another template is another generation.
            "update_policy": {
                "type": "OPPORTUNISTIC",
                "minimal_action": "REPLACE",
                "instance_redistribution_type": "NONE",
            },
            # Off until a candidate is verified, so that it stays for inspection.
            "instance_lifecycle_policy": {
                "default_action_on_failure": "DO_NOTHING",
                "force_update_on_repair": "YES",
            },
            "all_instances_config": {"metadata": {template.WINDOW: window}},
            **({"distribution_policy_zones": [*zones]} if zones else {}),
        }
        found, count = self.found.find_group(self.title), self.servers
        # Of a group that exists only the count follows the settings. `GcpFleet` waits instead of
        # the provider, and says why a server is sick.
        free: dict[str, Any] = {"wait_for_instances": False}
        if self.limits:
            arguments["target_size"] = max(count, self.found.count_serving(self.scope.service))
        else:
            free["target_size"] = count
        make = gcp.compute.RegionInstanceGroupManager
        return self.make(make, found, arguments, free, kept=LATER)

    def _declare_autoscaler(
        self, limits: Scaling, group: gcp.compute.RegionInstanceGroupManager
    ) -> gcp.compute.RegionAutoscaler:
        """Declare what scales the group, turned off; all changes of it are ours."""
        arguments: dict[str, Any] = {
            **self.named,
            "region": self.settings.region,
            "target": group.id,
            "autoscaling_policy": {
                "min_replicas": min(self.servers, limits.max),
                "max_replicas": limits.max,
                "cpu_utilization": {"target": limits.cpu / ALL},
                "mode": OFF,
            },
        }
        found = self.found.find_autoscaler(self.title)
        return self.make(gcp.compute.RegionAutoscaler, found, arguments)

    def _declare_service(
        self, group: gcp.compute.RegionInstanceGroupManager
    ) -> gcp.compute.BackendService:
        """Declare the backend service, by which the balancer knows the group.

        Who may reach it follows the settings at once, also where it exists.
        """
        header = [f"{HEADER}: {self.name}"] if self.launch.generation_header else []
        arguments: dict[str, Any] = {
            **self.named,
            "load_balancing_scheme": SCHEME,
            "protocol": "HTTP",
            "port_name": PORT,
            "health_checks": self.check.id,
            "timeout_sec": self.settings.timeout,
            "connection_draining_timeout_sec": DRAIN_SECONDS,
            "session_affinity": "NONE",
            "custom_response_headers": header,
            "backends": [{"group": group.instance_group, **SHARE}],
        }
        policy = self.settings.security_policy
        place = self.found.make_id("securityPolicies", policy)
        own = {"security_policy": place} if policy else {}
        found = self.found.find_service(self.title)
        return self.make(gcp.compute.BackendService, found, arguments, own)


class GcpGraph(BalancerGraph):
    """The resources of a stack, declared in one run of the program."""

    maker = GcpMaker
