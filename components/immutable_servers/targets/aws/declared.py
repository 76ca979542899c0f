"""The graph at AWS, from the official provider's resources. Imported only while a program runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, ResourceOptions

from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.aws import network, owners
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.found import PRIORITIES, RULE_KEY, Found
from immutable_servers.targets.aws.names import make_name, make_tags

CLOSED: Mapping[str, Any] = {
    "type": "fixed-response",
    "fixed_response": {
        "content_type": "text/plain",
        "message_body": "no generation serves\n",
        "status_code": "503",
    },
}
"""What a pointer answers before the first generation; from then on it is Traffic's."""
TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3; what AWS takes without a word still speaks 1.0.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
ABOVE = 9000
"""So many numbers there are for rules by host name, above those of test rules."""


@dataclass
class Declared:
    """A stack's load balancer while its program runs.

    Attributes:
        listeners: Of each service: port and listener.
        taken: By port, numbers of rules that are not free.
        hosts: Numbers of rules by host name.
    """

    scope: Scope
    api: Api
    found: Found
    network: network.Network
    provider: aws.Provider
    opts: ResourceOptions
    balancer: aws.lb.LoadBalancer = field(init=False)
    group: aws.ec2.SecurityGroup = field(init=False)
    listeners: dict[str, tuple[int, aws.lb.Listener]] = field(default_factory=dict)
    taken: dict[int, set[int]] = field(default_factory=dict)
    hosts: set[int] = field(default_factory=set)

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


def declare_balancer(
    api: Api, scope: Scope, routes: Sequence[Route], opts: ResourceOptions
) -> Declared:
    """Declare the load balancer, its security group, and a pointer for each service."""
    settings = api.settings
    arguments = {"profile": settings.profile} if settings.profile else {}
    declared = Declared(
        scope=scope,
        api=api,
        found=Found(api, scope),
        network=network.find_network(api),
        provider=aws.Provider(
            "aws",
            region=settings.region,
            ignore_tags=aws.ProviderIgnoreTagsArgs(key_prefixes=[owners.KEY]),
            **arguments,
        ),
        opts=opts,
    )
    name = make_name(scope)
    ports = {route.port or settings.host_port for route in routes}
    if settings.redirect:
        ports.add(settings.redirect)
    _declare_group(declared, name, sorted(ports))
    declared.balancer = aws.lb.LoadBalancer(
        "balancer",
        name=name,
        load_balancer_type="application",
        internal=settings.internal,
        security_groups=[declared.group.id],
        subnets=list(declared.network.balancer_subnets),
        drop_invalid_header_fields=True,
        tags=make_tags(scope),
        opts=declared.options(opts, declared.found.balancer),
    )
    _declare_listeners(declared, routes)
    return declared


def declare_rules(
    declared: Declared,
    name: str,
    group: aws.ec2.SecurityGroup,
    rules: Mapping[str, Mapping[str, Input[Any]]],
    opts: ResourceOptions,
    *,
    frozen: bool = False,
    scope: Scope,
) -> list[pulumi.Resource]:
    """Declare a security group's rules by name, and its way out; `name` is the group's at AWS."""
    made: list[pulumi.Resource] = []
    kinds = {"out": aws.vpc.SecurityGroupEgressRule}
    everything: Mapping[str, Mapping[str, Input[Any]]] = {
        **rules,
        "out": {"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"},
    }
    for rule, arguments in everything.items():
        make = kinds.get(rule, aws.vpc.SecurityGroupIngressRule)
        title = f"{scope.service}-{scope.generation}" if scope.generation else "balancer"
        made.append(
            make(
                f"{title}-{rule}",
                security_group_id=group.id,
                tags={**make_tags(scope), RULE_KEY: rule},
                opts=declared.options(
                    opts,
                    declared.found.find_security_rule(name, rule),
                    ignore=["*"] if frozen else None,
                ),
                **arguments,
            )
        )
    return made


def render_source(cidr: str) -> dict[str, str]:
    """Return a rule's source: IPv4 and IPv6 have arguments of their own."""
    return {"cidr_ipv6" if ":" in cidr else "cidr_ipv4": cidr}


def tcp(port: int) -> dict[str, Any]:
    """Return a rule's port."""
    return {"ip_protocol": "tcp", "from_port": port, "to_port": port}


def _declare_group(declared: Declared, name: str, ports: Sequence[int]) -> None:
    """Declare the balancer's security group: the world reaches the listeners' ports."""
    scope = declared.scope
    declared.group = aws.ec2.SecurityGroup(
        "balancer",
        name=name,
        description="Load balancer of a stack of immutable servers",
        vpc_id=declared.network.vpc,
        tags=make_tags(scope),
        opts=declared.options(declared.opts, declared.found.security_groups.get(name)),
    )
    rules = {
        f"{port}-{cidr}": {**tcp(port), **render_source(cidr)}
        for port in ports
        for cidr in declared.api.settings.allow_from
    }
    declare_rules(declared, name, declared.group, rules, ResourceOptions(), scope=scope)


def _declare_listeners(declared: Declared, routes: Sequence[Route]) -> None:
    """Declare a listener for each port, and a rule for each host name."""
    settings = declared.api.settings
    shared: aws.lb.Listener | None = None
    for route in routes:
        if route.port:
            scope = replace(declared.scope, service=route.service)
            listener = _declare_listener(declared, route.service, route.port, scope)
            declared.listeners[route.service] = (route.port, listener)
            continue
        if shared is None:
            scope = declared.scope
            shared = _declare_listener(declared, "by.host", settings.host_port, scope)
        _declare_host_rule(declared, route, shared)
        declared.listeners[route.service] = (settings.host_port, shared)
    if settings.redirect:
        _declare_redirect(declared, settings.redirect)


def _declare_listener(declared: Declared, name: str, port: int, scope: Scope) -> aws.lb.Listener:
    settings = declared.api.settings
    secure = (
        {"certificate_arn": settings.certificate, "ssl_policy": TLS} if settings.certificate else {}
    )
    declared.taken[port] = declared.found.find_priorities(declared.found.listeners.get(port))
    return aws.lb.Listener(
        name,
        load_balancer_arn=declared.balancer.arn,
        port=port,
        protocol=settings.protocol,
        default_actions=[CLOSED],
        tags=make_tags(scope),
        opts=declared.options(
            declared.opts, declared.found.listeners.get(port), ignore=["default_actions"]
        ),
        **secure,
    )


def _declare_host_rule(declared: Declared, route: Route, shared: aws.lb.Listener) -> None:
    """Declare a service's pointer by host name; its number comes from the service's name alone."""
    port = declared.api.settings.host_port
    first = int(sha256(route.service.encode()).hexdigest(), 16) % ABOVE
    numbers = (PRIORITIES + 1 + (first + step) % ABOVE for step in range(ABOVE))
    number = next(one for one in numbers if one not in declared.hosts)
    declared.hosts.add(number)
    found = declared.found.find_host_rule(declared.found.listeners.get(port), route.host)
    aws.lb.ListenerRule(
        route.service,
        listener_arn=shared.arn,
        priority=number,
        conditions=[{"host_header": {"values": [route.host]}}],
        actions=[CLOSED],
        tags=make_tags(replace(declared.scope, service=route.service)),
        opts=declared.options(declared.opts, found, ignore=["actions"]),
    )


def _declare_redirect(declared: Declared, port: int) -> None:
    """Declare the listener that sends HTTP to HTTPS."""
    target = str(declared.api.settings.host_port)
    action = {
        "type": "redirect",
        "redirect": {"port": target, "protocol": "HTTPS", "status_code": "HTTP_301"},
    }
    aws.lb.Listener(
        "redirect.http",
        load_balancer_arn=declared.balancer.arn,
        port=port,
        protocol="HTTP",
        default_actions=[action],
        tags=make_tags(declared.scope),
        opts=declared.options(declared.opts, declared.found.listeners.get(port)),
    )
