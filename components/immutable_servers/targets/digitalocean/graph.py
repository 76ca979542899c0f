"""Declares a stack's load balancers with the official provider, while a program runs.

A load balancer has one pool, and sends all requests there: so each service has its own. It takes
the droplets that have the service's live tag, and traffic moves by that tag alone: the resource
never changes, and a provider's update, which writes everything, leaves the pool as it is.
https://docs.digitalocean.com/products/networking/load-balancers/details/limits/
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import LaunchError, SettingsError
from immutable_servers.resources.outputs import wait_for
from immutable_servers.targets.cloud.balancer import PORTS
from immutable_servers.targets.cloud.fields import Cidr
from immutable_servers.targets.cloud.graph import CloudGraph
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
        balancer: What takes requests: a load balancer, or the tag of a reserved address.
        address: Its IP.
        firewall: What lets those who may reach droplets, and nobody else.
    """

    balancer: pulumi.CustomResource
    address: Output[str]
    firewall: digitalocean.Firewall
    asked: tuple[int, str]


class BalancerGraph(CloudGraph):
    """A stack's load balancers while its program runs.

    Attributes:
        routes: Of each service, where it is to answer.
        ways: Of each service, what leads to it, once its first generation is declared.
        ends: Of each service, what asks before that goes.
    """

    api: Api
    settings: DoSettings
    routes: Mapping[str, Route]
    ways: dict[str, Way]
    ends: dict[str, DoEnd]
    tag: digitalocean.Tag | None = None

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
        self.ends = {}
        self.provider = digitalocean.Provider("digitalocean")
        name = make_tag("stack", self.scope.of_stack)
        found = self.found.find("tags", name)
        own = self.options(opts, found, depends=[self._declare_end("stack.end", self.scope, "")])
        self.tag = digitalocean.Tag("balancer", name=name, opts=own)
        if not found:  # as the update began there was no place for the owner yet
            self.tag.id.apply(lambda _: self._write_owner())
        return self.tag

    def _write_owner(self) -> None:
        self.api.asked.stop()  # what was not there is now
        self.ownership.write_owner(self.owner)

    def _declare_end(
        self, name: str, scope: Scope, way: Input[str], *before: pulumi.Resource
    ) -> DoEnd:
        inputs = {"settings": self.plain, "scope": scope.to_plain(), "way": way}
        return DoEnd(DoEndProvider(), name, inputs, ResourceOptions(depends_on=[*before]))

    def prepare_fleet(
        self, name: str, scope: Scope, launch: Launch, *, frozen: bool, opts: ResourceOptions
    ) -> Sequence[pulumi.CustomResource]:
        """Declare the service's way before its first generation."""
        if self.tag is None:
            raise LaunchError("A fleet is declared after its balancer", facts=[name])
        self.answers_at = self.tag.name
        asked = (launch.port, launch.health)
        if scope.service not in self.ways:
            service = replace(scope, generation="")
            way = self.ways[scope.service] = self._declare_way(service, *asked)
            ready = Output.all(wait_for(way.firewall), way.balancer.id).apply(lambda one: one[1])
            before = (way.firewall, way.balancer)
            self.ends[scope.service] = self._declare_end(scope.service, service, ready, *before)
        refuse_another_check(scope.service, asked, self.ways[scope.service].asked)
        if self.routes[scope.service].reserved_ip and not frozen:
            pulumi.log.warn(
                f"{scope.service}: when its reserved IP moves to the new server, open connections"
                " end, and requests may fail for some seconds"
            )
        return super().prepare_fleet(name, scope, launch, frozen=frozen, opts=opts)

    def declare_address(self, route: Route, scope: Scope) -> Input[str]:
        """Return where a service answers: at its own balancer."""
        role, way = self.fleets.balancer, self.ways.get(route.service)
        if route.host or way is None:
            return str(role.find_address(route, scope))
        address: Output[str] = way.address.apply(lambda ip: str(role.render_address(route, ip)))
        return address

    def _declare_way(self, scope: Scope, port: int, path: str) -> Way:
        all_of_it = self._declare_tag(f"{scope.service}.servers", tag_service(scope))
        balanced = self.found.find("load_balancers", make_name(scope))
        reserved = self.found.find_reserved(scope)
        if self.routes[scope.service].reserved_ip:
            refuse_another_way(scope.service, "a load balancer", balanced)
            tag, address = self._declare_reserved(scope, reserved)
            sources = {"source_addresses": [*self.settings.allow_from]}
            firewall = self._declare_firewall(scope, all_of_it, sources, port)
            return Way(tag, address, firewall, (port, path))
        refuse_another_way(scope.service, "a reserved IP", reserved)
        live = self._declare_tag(f"{scope.service}.live", tag_live(scope))
        balancer = self._declare_balancer(scope, live.name, port, path)
        sources = {"source_load_balancer_uids": [balancer.id]}
        firewall = self._declare_firewall(scope, all_of_it, sources, port)
        return Way(balancer, balancer.ip, firewall, (port, path))

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
        own = self.options(
            ResourceOptions(), found and self.found.find("tags", tag_reserved(scope, found))
        )
        name = address.apply(lambda ip: tag_reserved(scope, ip))
        return digitalocean.Tag(f"{scope.service}.reserved", name=name, opts=own), address

    def _declare_tag(self, title: str, name: str) -> digitalocean.Tag:
        opts = self.options(ResourceOptions(), self.found.find("tags", name))
        return digitalocean.Tag(title, name=name, opts=opts)

    def _declare_balancer(
        self, scope: Scope, tag: Output[str], port: int, path: str
    ) -> digitalocean.LoadBalancer:
        """Declare a balancer whose arguments say everything, since each update writes them all."""
        settings, name = self.settings, make_name(scope)
        own: dict[str, Any] = {"vpc_uuid": settings.vpc} if settings.vpc else {}
        if {*settings.allow_from} != {*EVERYWHERE}:
            own["firewall"] = {"allows": [*map(render_source, settings.allow_from)]}
        rules = self._render_rules(self.routes[scope.service], port)
        return digitalocean.LoadBalancer(
            scope.service,
            name=name,
            region=settings.region,
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
            **own,
            opts=self.options(ResourceOptions(), self.found.find("load_balancers", name)),
        )

    def _render_rules(self, route: Route, port: int) -> list[dict[str, Any]]:
        """Return what a balancer takes; it redirects to the usual port of HTTPS alone."""
        settings, target = self.settings, {"target_protocol": "http", "target_port": port}
        entry, certificate = route.port or settings.host_port, settings.certificate
        if not certificate:
            return [{"entry_protocol": "http", "entry_port": entry, **target}]
        secure = {"entry_protocol": "https", "certificate_name": certificate}
        rules = [{**secure, "entry_port": entry, **target}]
        if settings.redirect and entry == PORTS["https"]:
            rules.append({"entry_protocol": "http", "entry_port": settings.redirect, **target})
        return rules

    def _declare_firewall(
        self,
        scope: Scope,
        tag: digitalocean.Tag,
        sources: Mapping[str, Any],
        port: int,
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


def render_source(cidr: Cidr) -> str:
    """Return a range as a balancer's firewall takes it."""
    return f"cidr:{cidr}"


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
