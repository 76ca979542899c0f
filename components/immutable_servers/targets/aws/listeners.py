"""Declares a balancer's listeners, and the rules for services that are told apart by host name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.aws.found import PRIORITIES, Found
from immutable_servers.targets.aws.names import find_generation, make_tags
from immutable_servers.targets.aws.pointers import read_groups, read_name
from immutable_servers.targets.aws.resources import AwsPointer
from immutable_servers.targets.cloud.balancer import choose_number
from immutable_servers.targets.cloud.graph import refuse_others

Listeners = Mapping[str, tuple[int, aws.lb.Listener]]
"""Of each service: port and listener."""


def _answer(status: str, line: str) -> Mapping[str, Any]:
    answer = {"content_type": "text/plain", "message_body": f"{line}\n", "status_code": status}
    return {"type": "fixed-response", "fixed_response": answer}


CLOSED = _answer("503", "no generation serves")
"""Action of a pointer before the first generation; from then on it is Traffic's."""
UNKNOWN = _answer("404", "no service has this host")
"""Default action of the listener that services are told apart on by host name."""
TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3; what AWS takes without a word still speaks 1.0.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
ABOVE = 9000
"""Numbers for rules by host name, above those of test rules."""


def declare_listeners(
    found: Found,
    balancer: aws.lb.LoadBalancer,
    keep: Callable[..., ResourceOptions],
    routes: Sequence[Route],
) -> tuple[Listeners, dict[int, set[int]]]:
    """Declare a listener for each port, and a rule for each host name.

    The engine deletes none of them, so that no name that somebody changed in the state takes away
    what serves; `AwsPointer` removes what a service has no longer.

    Args:
        found: What AWS has already.
        balancer: The load balancer.
        keep: Makes a resource's options, as `BalancerGraph.keep` does.
        routes: Those of the services.

    Returns:
        The services' listeners, and by port the numbers of rules that are not free.

    Raises:
        SettingsError: A route leads to another service's servers until the end of this run.
    """
    maker = Maker(found, balancer, keep)
    maker.declare(routes)
    return maker.listeners, maker.taken


class Maker:
    """Declares the listeners of one program."""

    def __init__(
        self, found: Found, balancer: aws.lb.LoadBalancer, keep: Callable[..., ResourceOptions]
    ) -> None:
        self.found, self.balancer, self.keep = found, balancer, keep
        self.settings, self.scope = found.api.settings, found.scope
        self.listeners: dict[str, tuple[int, aws.lb.Listener]] = {}
        self.taken: dict[int, set[int]] = {}
        self.hosts: set[int] = set()

    def declare(self, routes: Sequence[Route]) -> None:
        """Declare all."""
        shared: aws.lb.Listener | None = None
        shared_port = self.settings.host_port
        by_host = [route.service for route in routes if not route.port]
        for route in routes:
            scope = replace(self.scope, service=route.service)
            pointer = AwsPointer(scope, route, self.settings.model_dump(mode="json"))
            if route.port:
                self._refuse_taken(route.port, [route.service])
                action = self._find_action(scope, self.found.listeners.get(route.port))
                listener = self._declare_listener(
                    route.service, route.port, scope, action, [pointer]
                )
                self.listeners[route.service] = (route.port, listener)
                continue
            if shared is None:
                self._refuse_taken(shared_port, by_host)
                shared = self._declare_listener("by.host", shared_port, self.scope, UNKNOWN)
            self._declare_host_rule(route, shared, [pointer])
            self.listeners[route.service] = (shared_port, shared)
        if self.settings.redirect:
            self._refuse_taken(self.settings.redirect, [])
            self._declare_redirect(self.settings.redirect)

    def _refuse_taken(self, port: int, services: Sequence[str]) -> None:
        pointer = self.found.pointers.get(port)
        self._refuse_foreign(f"The port {port}", pointer.groups if pointer else {}, services)

    def _refuse_foreign(self, what: str, groups: Collection[str], services: Sequence[str]) -> None:
        """Refuse a route that leads to another service's servers until the end of this run.

        Raises:
            SettingsError: It does.
        """
        scopes = [replace(self.scope, service=service) for service in services]
        names = [read_name(group) for group in groups]
        foreign = [name for name in names if not any(find_generation(one, name) for one in scopes)]
        refuse_others(what, next(iter(services), ""), foreign)

    def _find_action(self, scope: Scope, found: str | None) -> Mapping[str, Any]:
        """Return a pointer's first action; a second one of a service leads where the first does.

        So nobody who asks at a new route is refused until Traffic has its turn.
        """
        if found or not self.found.balancer:
            return CLOSED
        groups = self.found.role.find_groups(scope)
        if not groups:
            return CLOSED
        targets = [{"arn": arn, "weight": weight} for arn, weight in groups.items()]
        return {"type": "forward", "forward": {"target_groups": targets}}

    def _declare_listener(
        self,
        name: str,
        port: int,
        scope: Scope,
        action: Mapping[str, Any],
        depends: Sequence[pulumi.Resource] = (),
    ) -> aws.lb.Listener:
        certificate = self.settings.certificate
        secure = {"certificate_arn": certificate, "ssl_policy": TLS} if certificate else {}
        self.taken[port] = self.found.find_priorities(port)
        ignore, found = ["default_actions"], self.found.listeners.get(port)
        return aws.lb.Listener(
            name,
            load_balancer_arn=self.balancer.arn,
            port=port,
            protocol=self.settings.protocol,
            default_actions=[action],
            tags=make_tags(scope),
            opts=self.keep(found, ignore=ignore, depends=depends),
            **secure,
        )

    def _declare_host_rule(
        self, route: Route, shared: aws.lb.Listener, depends: Sequence[pulumi.Resource]
    ) -> None:
        """Declare a service's pointer by host name; its number comes from the service's name."""
        seed = int(sha256(route.service.encode()).hexdigest(), 16)
        number = choose_number(seed, ABOVE, self.hosts, above=PRIORITIES)
        self.hosts.add(number)
        rule = self.found.find_host_rule(self.settings.host_port, route.host)
        groups = read_groups(rule["Actions"]) if rule else {}
        self._refuse_foreign(f"The host {route.host}", groups, [route.service])
        found = rule["RuleArn"] if rule else None
        scope = replace(self.scope, service=route.service)
        aws.lb.ListenerRule(
            route.service,
            listener_arn=shared.arn,
            priority=number,
            conditions=[{"host_header": {"values": [route.host]}}],
            actions=[self._find_action(scope, found)],
            tags=make_tags(scope),
            opts=self.keep(found, ignore=["actions"], depends=depends),
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
            opts=self.keep(self.found.listeners.get(port)),
        )
