"""Declares a stack's load balancer with the official provider, while a program runs."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, ResourceOptions

from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.found import OUT, RULE, Found
from immutable_servers.targets.aws.listeners import declare_listeners
from immutable_servers.targets.aws.names import PREFIX, make_name, make_tags
from immutable_servers.targets.aws.network import Network, find_network, refuse_private
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.verifier import check_route
from immutable_servers.targets.cloud.graph import CloudGraph
from immutable_servers.targets.cloud.tags import OWNER

PEER = "referenced_security_group_id"


class BalancerGraph(CloudGraph):
    """A stack's load balancer while its program runs, and what fleets need of it.

    Attributes:
        group: The balancer's security group.
        listeners: Of each service: port and listener.
        taken: By port, numbers of rules that are not free.
    """

    api: Api
    settings: AwsSettings
    listeners: Mapping[str, tuple[int, aws.lb.Listener]]
    taken: Mapping[int, set[int]]
    balancer: aws.lb.LoadBalancer
    group: aws.ec2.SecurityGroup
    network: Network
    provider: aws.Provider
    opts: ResourceOptions

    @cached_property
    def found(self) -> Found:
        """What AWS has already."""
        return Found(self.scope, self.fleets.balancer, self.fleets.groups)

    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: ResourceOptions
    ) -> aws.lb.LoadBalancer:
        """Declare the load balancer, its security group, and a pointer for each service."""
        check_route(self.settings)
        self.opts, self.network = opts, self._find_network(sizes)
        if not self.found.balancer and not pulumi.runtime.is_dry_run():
            self._make_scaling_role()
        # No program declares the owner's tags, so that another checkout is no change of the stack.
        ignored = aws.ProviderIgnoreTagsArgs(key_prefixes=[f"{PREFIX}{OWNER}"])
        profile = {"profile": self.settings.profile} if self.settings.profile else {}
        region = self.settings.region
        self.provider = aws.Provider("aws", region=region, ignore_tags=ignored, **profile)
        name = make_name(self.scope)
        self._declare_group(name, routes)
        self.balancer = aws.lb.LoadBalancer(
            "balancer",
            name=name,
            load_balancer_type="application",
            internal=self.settings.internal,
            security_groups=[self.group.id],
            subnets=list(self.network.balancer_subnets),
            drop_invalid_header_fields=True,
            idle_timeout=self.settings.timeout,
            tags=make_tags(self.scope),
            opts=self.options(opts, self.found.balancer),
        )
        self.listeners, self.taken = declare_listeners(self.found, self.balancer, self.keep, routes)
        if not self.found.balancer:  # as the update began there was no place for the owner yet
            self.balancer.arn.apply(lambda arn: self.ownership.write_owner(str(arn), self.owner))
        self.answers_at = self.balancer.dns_name
        return self.balancer

    def _find_network(self, sizes: Collection[str]) -> Network:
        """Look up the subnets; refuse those that take the balancer from under servers.

        Raises:
            SettingsError: The balancer would leave a zone where servers of a generation stand.
        """
        types = {self.settings.find_size(size) for size in sizes}
        used = self.found.balancer_zones
        network = find_network(self.api, types, used)
        refuse_private(self.api, network, used)
        left = {*used.values()} - {*network.balancer_subnets.values()}
        lost = [
            f"{name} stands in {zone}"
            for name, group in (self.found.groups.items() if left else ())
            for zone in sorted(left & {*group["AvailabilityZones"]})
        ]
        if lost:
            raise SettingsError(
                "The balancer would leave a zone where servers stand, and send them nothing",
                facts=lost,
                todo="Name a subnet of that zone among balancer_subnets under"
                " immutable-servers:aws, until no generation stands there.",
            )
        return network

    def _make_scaling_role(self) -> None:
        """Make Auto Scaling's own role in good time: the first group of an account needs it.

        AWS makes it with that group, and may refuse the group since it does not know the role yet.
        Where it exists, or somebody else has to make it, that is no error.
        https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html
        """
        there = ("InvalidInput", "EntityAlreadyExists", "AccessDenied")
        call = "create_service_linked_role"
        self.api.call("iam", call, missing=there, AWSServiceName="autoscaling.amazonaws.com")

    def declare_rules(
        self,
        scope: Scope,
        group: aws.ec2.SecurityGroup,
        rules: Mapping[str, Mapping[str, Input[Any]]],
        opts: ResourceOptions,
        *,
        frozen: bool = False,
    ) -> list[pulumi.CustomResource]:
        """Declare the rules of a scope's security group by name, and its way out."""
        made: list[pulumi.CustomResource] = []
        title = f"{scope.service}-{scope.generation}" if scope.generation else "balancer"
        outside = {"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"}
        everything: Mapping[str, Mapping[str, Input[Any]]] = {**rules, OUT: outside}
        peer = {PEER: self.found.security_groups.get(make_name(self.scope))}
        for rule, arguments in everything.items():
            kind = aws.vpc.SecurityGroupIngressRule
            make = aws.vpc.SecurityGroupEgressRule if rule == OUT else kind
            about = {**arguments, **peer} if PEER in arguments else arguments
            found = self.found.find_security_rule(make_name(scope), rule, about)
            own = {
                "security_group_id": group.id,
                "tags": {**make_tags(scope), f"{PREFIX}{RULE}": rule},
                **arguments,
            }
            options = self.options(opts, found, ignore=["*", *own] if frozen else None)
            made.append(make(f"{title}-{rule}", opts=options, **own))
        return made

    def _declare_group(self, name: str, routes: Sequence[Route]) -> None:
        """Declare the balancer's security group: the world reaches the listeners' ports."""
        self.group = aws.ec2.SecurityGroup(
            "balancer",
            name=name,
            description="Load balancer of a stack of immutable servers",
            vpc_id=self.network.vpc,
            tags=make_tags(self.scope),
            opts=self.options(self.opts, self.found.security_groups.get(name)),
        )
        ports = {route.port or self.settings.host_port for route in routes}
        rules = {
            f"{port}-{cidr}": {
                **tcp(port),
                # IPv4 and IPv6 have arguments of their own.
                "cidr_ipv6" if ":" in cidr else "cidr_ipv4": cidr,
            }
            for port in sorted({*ports, *filter(None, [self.settings.redirect])})
            for cidr in self.settings.allow_from
        }
        self.declare_rules(self.scope, self.group, rules, ResourceOptions())


def tcp(port: int) -> dict[str, Any]:
    """Return a security rule's port."""
    return {"ip_protocol": "tcp", "from_port": port, "to_port": port}
