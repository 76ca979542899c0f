"""Declares a stack's load balancer with the official provider, while a program runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, ResourceOptions

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.aws.access import check_route
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.found import PRIORITIES, RULE, Found
from immutable_servers.targets.aws.names import PREFIX, make_name, make_tags
from immutable_servers.targets.aws.network import Network, find_network
from immutable_servers.targets.aws.ownership import AwsOwnership
from immutable_servers.targets.cloud.tags import OWNER

NOBODY = {
    "content_type": "text/plain",
    "message_body": "no generation serves\n",
    "status_code": "503",
}
CLOSED: Mapping[str, Any] = {"type": "fixed-response", "fixed_response": NOBODY}
"""Action of a pointer before the first generation; from then on it is Traffic's."""
TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3; what AWS takes without a word still speaks 1.0.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
ABOVE = 9000
"""Numbers for rules by host name, above those of test rules."""


class BalancerGraph(Graph):
    """A stack's load balancer while its program runs, and what fleets need of it.

    Attributes:
        group: The balancer's security group.
        listeners: Of each service: port and listener.
        taken: By port, numbers of rules that are not free.
        hosts: Numbers of rules by host name.
    """

    balancer: aws.lb.LoadBalancer
    group: aws.ec2.SecurityGroup
    network: Network
    provider: aws.Provider
    opts: ResourceOptions

    def __init__(
        self, scope: Scope, owner: Owner, fleets: AwsFleets, ownership: AwsOwnership
    ) -> None:
        self.scope, self.owner = scope, owner
        self.fleets, self.ownership = fleets, ownership
        self.api, self.settings = fleets.api, fleets.api.settings
        self.found = Found(scope, fleets.balancer, fleets.groups)
        self.listeners: dict[str, tuple[int, aws.lb.Listener]] = {}
        self.taken: dict[int, set[int]] = {}
        self.hosts: set[int] = set()
        self.declared = False

    def declare_balancer(
        self, routes: Sequence[Route], opts: ResourceOptions
    ) -> aws.lb.LoadBalancer:
        """Declare the load balancer, its security group, and a pointer for each service."""
        check_route(self.settings)
        self.opts, self.network = opts, find_network(self.api)
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
            tags=make_tags(self.scope),
            opts=self.options(opts, self.found.balancer),
        )
        self._declare_listeners(routes)
        if not self.found.balancer:  # as the update began there was no place for the owner yet
            self.balancer.arn.apply(lambda arn: self.ownership.write_owner(str(arn), self.owner))
        self.declared = True
        return self.balancer

    def declare_address(self, route: Route, scope: Scope) -> Input[str]:
        """Return where a service answers: a first run makes the load balancer's name."""
        role = self.fleets.balancer
        if route.host or not self.declared:
            return role.find_address(route, scope)
        name: pulumi.Output[str] = self.balancer.dns_name
        return name.apply(lambda name: role.render_address(route, name))

    def options(
        self,
        opts: ResourceOptions,
        found: str | None,
        *,
        ignore: Sequence[str] | None = None,
        depends: Sequence[pulumi.Resource] = (),
    ) -> ResourceOptions:
        """Return a resource's options: with our provider, and adopting what is there."""
        own = ResourceOptions(
            provider=self.provider,
            import_=found,
            ignore_changes=list(ignore) if ignore else None,
            depends_on=list(depends),
        )
        return ResourceOptions.merge(opts, own)

    def declare_rules(
        self,
        scope: Scope,
        group: aws.ec2.SecurityGroup,
        rules: Mapping[str, Mapping[str, Input[Any]]],
        opts: ResourceOptions,
        *,
        frozen: bool = False,
    ) -> list[pulumi.Resource]:
        """Declare the rules of a scope's security group by name, and its way out."""
        made: list[pulumi.Resource] = []
        title = f"{scope.service}-{scope.generation}" if scope.generation else "balancer"
        outside = {"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"}
        everything: Mapping[str, Mapping[str, Input[Any]]] = {**rules, "out": outside}
        for rule, arguments in everything.items():
            kind = aws.vpc.SecurityGroupIngressRule
            make = aws.vpc.SecurityGroupEgressRule if rule == "out" else kind
            found = self.found.find_security_rule(make_name(scope), rule)
            own = {
                "security_group_id": group.id,
                "tags": {**make_tags(scope), f"{PREFIX}{RULE}": rule},
            }
            options = self.options(opts, found, ignore=["*"] if frozen else None)
            made.append(make(f"{title}-{rule}", opts=options, **own, **arguments))
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

    def _declare_listeners(self, routes: Sequence[Route]) -> None:
        """Declare a listener for each port, and a rule for each host name."""
        shared: aws.lb.Listener | None = None
        shared_port = self.settings.host_port
        for route in routes:
            if route.port:
                scope = replace(self.scope, service=route.service)
                listener = self._declare_listener(route.service, route.port, scope)
                self.listeners[route.service] = (route.port, listener)
                continue
            shared = shared or self._declare_listener("by.host", shared_port, self.scope)
            self._declare_host_rule(route, shared)
            self.listeners[route.service] = (shared_port, shared)
        if self.settings.redirect:
            self._declare_redirect(self.settings.redirect)

    def _declare_listener(self, name: str, port: int, scope: Scope) -> aws.lb.Listener:
        certificate = self.settings.certificate
        secure = {"certificate_arn": certificate, "ssl_policy": TLS} if certificate else {}
        self.taken[port] = self.found.find_priorities(port)
        found = self.found.listeners.get(port)
        return aws.lb.Listener(
            name,
            load_balancer_arn=self.balancer.arn,
            port=port,
            protocol=self.settings.protocol,
            default_actions=[CLOSED],
            tags=make_tags(scope),
            opts=self.options(self.opts, found, ignore=["default_actions"]),
            **secure,
        )

    def _declare_host_rule(self, route: Route, shared: aws.lb.Listener) -> None:
        """Declare a service's pointer by host name; its number comes from the service's name."""
        first = int(sha256(route.service.encode()).hexdigest(), 16) % ABOVE
        numbers = (PRIORITIES + 1 + (first + step) % ABOVE for step in range(ABOVE))
        number = next(one for one in numbers if one not in self.hosts)
        self.hosts.add(number)
        found = self.found.find_host_rule(self.settings.host_port, route.host)
        aws.lb.ListenerRule(
            route.service,
            listener_arn=shared.arn,
            priority=number,
            conditions=[{"host_header": {"values": [route.host]}}],
            actions=[CLOSED],
            tags=make_tags(replace(self.scope, service=route.service)),
            opts=self.options(self.opts, found, ignore=["actions"]),
        )

    def _declare_redirect(self, port: int) -> None:
        """Declare the listener that sends HTTP to HTTPS."""
        target = str(self.settings.host_port)
        redirect = {"port": target, "protocol": "HTTPS", "status_code": "HTTP_301"}
        aws.lb.Listener(
            "redirect.http",
            load_balancer_arn=self.balancer.arn,
            port=port,
            protocol="HTTP",
            default_actions=[{"type": "redirect", "redirect": redirect}],
            tags=make_tags(self.scope),
            opts=self.options(self.opts, self.found.listeners.get(port)),
        )


def tcp(port: int) -> dict[str, Any]:
    """Return a security rule's port."""
    return {"ip_protocol": "tcp", "from_port": port, "to_port": port}
