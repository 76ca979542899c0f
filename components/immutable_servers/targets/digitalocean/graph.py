"""Declares a stack's load balancers with the official provider, while a program runs.

A load balancer has one pool, and sends all requests there: so each service has its own. It takes
the droplets that have the service's live tag, and traffic moves by that tag alone: the resource
never changes, and a provider's update, which writes everything, leaves the pool as it is.
https://docs.digitalocean.com/products/networking/load-balancers/details/limits/
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.resources.outputs import wait_for
from immutable_servers.targets.cloud.balancer import PORTS
from immutable_servers.targets.cloud.graph import CloudGraph
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.found import Found
from immutable_servers.targets.digitalocean.launches import refuse_another_check
from immutable_servers.targets.digitalocean.names import (
    make_name,
    make_tag,
    tag_live,
    tag_reserved,
    tag_service,
)
from immutable_servers.targets.digitalocean.resources import DoEnd, DoEndProvider
from immutable_servers.targets.digitalocean.settings import DoSettings
from immutable_servers.targets.shared.health import ANSWER_SECONDS

EVERYWHERE = ("0.0.0.0/0", "::/0")
LEAST_CHECK = 3
"""Seconds that DigitalOcean takes at least between health checks, and for an answer."""


@dataclass(frozen=True)
class Way:
    """What leads to a service's droplets.

    Attributes:
        asked: Port and path of its health check, which hold for all of its generations.
        address: The IP of its load balancer, or its reserved one.
        end: What asks before the way goes; with it all of that is there.
    """

    asked: tuple[int, str]
    address: Output[str]
    end: DoEnd


class BalancerGraph(CloudGraph):
    """A stack's load balancers while its program runs.

    Attributes:
        routes: Of each service, where it is to answer.
        ways: Of each service, what leads to it, once its first generation is declared.
    """

    api: Api
    settings: DoSettings
    routes: Mapping[str, Route]
    ways: dict[str, Way]

    @cached_property
    def found(self) -> Found:
        """What DigitalOcean has already."""
        return Found(self.api)

    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: ResourceOptions
    ) -> digitalocean.Tag:
        """Declare the stack's own tag; a service's balancer comes with its first generation.

        Only a launch says on which port servers listen.
        """
        del sizes
        self.routes, self.ways = {route.service: route for route in routes}, {}
        self.provider = digitalocean.Provider("digitalocean")
        name = make_tag("stack", self.scope.of_stack)
        found = self.found.find("tags", name)
        own = self.options(opts, found, depends=[self._declare_end("stack.end", self.scope, "")])
        tag = digitalocean.Tag("balancer", name=name, opts=own)
        if not found:
            self.write_owner_after(tag.id)
        self.answers_at = tag.name
        return tag

    def _declare_end(
        self, name: str, scope: Scope, way: Input[str], *before: pulumi.Resource
    ) -> DoEnd:
        inputs = {"settings": self.plain, "scope": scope.to_plain(), "way": way}
        return DoEnd(DoEndProvider(), name, inputs, ResourceOptions(depends_on=[*before]))

    def declare_way(self, scope: Scope, launch: Launch, *, frozen: bool) -> DoEnd:
        """Declare what leads to a service before its first generation; return its end.

        Raises:
            SettingsError: The service cannot have its route, or it is another generation's.
        """
        service, asked = scope.service, (launch.port, launch.health)
        if service not in self.ways:
            self.ways[service] = self._declare_way(of_service(scope), *asked)
        refuse_another_check(service, asked, self.ways[service].asked)
        if self.routes[service].reserved_ip and not frozen:
            pulumi.log.warn(
                f"{service}: when its reserved IP moves to the new server, open connections end,"
                " and requests may fail for some seconds"
            )
        return self.ways[service].end

    def _find_place(self, route: Route) -> Output[str] | None:
        way = self.ways.get(route.service)
        return way.address if way else None

    def _declare_way(self, scope: Scope, port: int, path: str) -> Way:
        service = scope.service
        servers = self._declare_tag(f"{service}.servers", tag_service(scope))
        balanced = self.found.find("load_balancers", make_name(scope))
        reserved = self.found.find_reserved(scope)
        front: pulumi.CustomResource
        sources: Mapping[str, Any]
        if self.routes[service].reserved_ip:
            refuse_another_way(service, "a load balancer", balanced)
            front, address = self._declare_reserved(scope, reserved)
            sources = {"source_addresses": [*self.settings.allow_from]}
        else:
            refuse_another_way(service, "a reserved IP", reserved)
            live = self._declare_tag(f"{service}.live", tag_live(scope))
            front = balancer = self._declare_balancer(scope, live.name, port, path)
            address, sources = balancer.ip, {"source_load_balancer_uids": [balancer.id]}
        firewall = self._declare_firewall(scope, servers, sources, port)
        ready = Output.all(wait_for(firewall), front.id).apply(lambda one: one[1])
        end = self._declare_end(service, scope, ready, firewall, front)
        return Way((port, path), address, end)

    def _declare_reserved(
        self, scope: Scope, found: str | None
    ) -> tuple[digitalocean.Tag, Output[str]]:
        """Declare an address that our code assigns, and the tag that says whose it is.

        Raises:
            SettingsError: Servers would have no public address, without which they can have none.
        """
        if not self.settings.public_addresses:
            raise SettingsError(
                f"Servers of {scope.service} cannot have a reserved IP",
                facts=["public_addresses is false in immutable-servers:digitalocean"],
                todo="Have public_addresses be true, or give the service {port: NUMBER}.",
            )
        opts = self.options(ResourceOptions(), found, ignore=["dropletId"])
        region = self.settings.region
        address = digitalocean.ReservedIp(scope.service, region=region, opts=opts).ip_address
        known, name = tag_reserved(scope, found or ""), address.apply(partial(tag_reserved, scope))
        return self._declare_tag(f"{scope.service}.reserved", known, name), address

    def _declare_tag(
        self, title: str, known: str, name: Output[str] | None = None
    ) -> digitalocean.Tag:
        """Declare a tag, with the name by which it may be there where that is known before."""
        opts = self.options(ResourceOptions(), self.found.find("tags", known))
        return digitalocean.Tag(title, name=known if name is None else name, opts=opts)

    def _declare_balancer(
        self, scope: Scope, tag: Output[str], port: int, path: str
    ) -> digitalocean.LoadBalancer:
        """Declare a balancer whose arguments say everything, since each update writes them all."""
        settings, name = self.settings, make_name(scope)
        limits = {"allows": [f"cidr:{one}" for one in settings.allow_from]}
        rules = self._render_rules(self.routes[scope.service], port)
        return digitalocean.LoadBalancer(
            scope.service,
            name=name,
            region=settings.region,
            vpc_uuid=settings.vpc or None,
            firewall=limits if {*settings.allow_from} != {*EVERYWHERE} else None,
            size_unit=settings.nodes,
            droplet_tag=tag,
            forwarding_rules=rules,
            healthcheck={
                "protocol": "http",
                "port": port,
                "path": path,
                "check_interval_seconds": max(LEAST_CHECK, ANSWER_SECONDS + 1),
                "response_timeout_seconds": max(LEAST_CHECK, ANSWER_SECONDS),
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            http_idle_timeout_seconds=settings.timeout,
            redirect_http_to_https=len(rules) > 1,
            # A cookie would keep clients on servers that have left.
            sticky_sessions={"type": "none"},
            enable_proxy_protocol=False,
            opts=self.options(ResourceOptions(), self.found.find("load_balancers", name)),
        )

    def _render_rules(self, route: Route, port: int) -> list[dict[str, Any]]:
        """Return what a balancer takes; it redirects to the usual port of HTTPS alone."""
        settings, entry = self.settings, route.port or self.settings.host_port
        plain = {"entry_protocol": "http", "target_protocol": "http", "target_port": port}
        secure = {**plain, "entry_protocol": "https", "certificate_name": settings.certificate}
        rules = [{**(secure if settings.certificate else plain), "entry_port": entry}]
        if settings.redirect and entry == PORTS["https"]:
            rules.append({**plain, "entry_port": settings.redirect})
        return rules

    def _declare_firewall(
        self, scope: Scope, tag: digitalocean.Tag, sources: Mapping[str, Any], port: int
    ) -> digitalocean.Firewall:
        """Declare that these sources reach the service's droplets, and nobody else.

        A droplet without a firewall is open. All generations have this one from their launch on, by
        the service's tag.
        """
        name, everywhere = make_name(scope), {"destination_addresses": [*EVERYWHERE]}
        return digitalocean.Firewall(
            scope.service,
            name=name,
            tags=[tag.name],
            inbound_rules=[{"protocol": "tcp", "port_range": str(port), **sources}],
            outbound_rules=[
                {"protocol": "tcp", "port_range": "1-65535", **everywhere},
                {"protocol": "udp", "port_range": "1-65535", **everywhere},
                {"protocol": "icmp", **everywhere},
            ],
            opts=self.options(ResourceOptions(), self.found.find("firewalls", name)),
        )


def refuse_another_way(service: str, kind: str, there: str | None) -> None:
    """Refuse a route of the other kind: both would lead to a service, and only one could move.

    Raises:
        SettingsError: There is something of that kind.
    """
    if there:
        raise SettingsError(
            f"The route of {service} cannot change between a load balancer and a reserved IP",
            facts=[f"it has {kind} now: {there}"],
            todo="Declare a service with another name and this route beside it, lead your users"
            " there, then take this one out.",
        )
