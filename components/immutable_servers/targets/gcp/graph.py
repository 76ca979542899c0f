"""Declares a stack's load balancer with the official provider, while a program runs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi import ResourceOptions

from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.cloud.graph import CloudGraph, refuse_others
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.found import Found
from immutable_servers.targets.gcp.fronts import Front
from immutable_servers.targets.gcp.names import describe, make_labels, make_name
from immutable_servers.targets.gcp.resources import GcpPointer, GcpPointerProvider
from immutable_servers.targets.gcp.settings import GcpSettings
from immutable_servers.targets.gcp.url_maps import find_holder
from immutable_servers.targets.gcp.verifier import check_route

SCHEME = "EXTERNAL_MANAGED"
"""The load balancer that knows headers and weights.
https://docs.cloud.google.com/load-balancing/docs/https"""
MAP_LISTS = ("path_matchers", "host_rules", "default_route_action", "default_service", "tests")
"""What the provider never changes of a URL map, beside all else: it would put back all that it
believes. The engine alone understands `*`, and after a refresh a provider compares the lists.
https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/diff.go"""
CLOSED, OPEN = 65000, 1000
"""Priorities of firewall rules: what we open is before what we close, and both are before the
rules of Google's default network, by which anybody reaches SSH.
https://docs.cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc"""
MOST_TITLE = 100
"""Letters of an account's display name: https://docs.cloud.google.com/iam/docs/reference/rest"""
NO_HOST: Any = {"abort": {"http_status": 404, "percentage": 100}}
"""Answer to a host that leads to no service; a pointer's answer while nobody serves is a 503."""
TO_HTTPS = {
    "https_redirect": True,
    "strip_query": False,
    "redirect_response_code": "MOVED_PERMANENTLY_DEFAULT",
}


class BalancerGraph(CloudGraph):
    """A stack's load balancer while its program runs, and what fleets need of it.

    Attributes:
        address: The stack's one address.
        ways: Of each service, what is there once its address leads to it.
        bases: Of each service, what its generations share.
    """

    api: Api
    settings: GcpSettings
    address: gcp.compute.GlobalAddress
    closed: gcp.compute.BackendService

    @cached_property
    def found(self) -> Found:
        """What Google has already."""
        return Found(self.scope, self.fleets.groups)

    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: ResourceOptions
    ) -> gcp.compute.GlobalAddress:
        """Declare the address, and for each service its way from there to a URL map."""
        del sizes  # the balancer is global
        self.ways: dict[str, pulumi.CustomResource] = {}
        self.bases: dict[str, Sequence[pulumi.CustomResource]] = {}
        check_route(self.settings)
        fronts = [*self._make_fronts(routes)]
        _refuse_shared(fronts)
        for front in fronts:
            self._refuse_taken(front)
        self.provider = gcp.Provider(
            "gcp",
            project=self.settings.project,
            region=self.settings.region,
            add_pulumi_attribution_label=False,
        )
        name = make_name(self.scope)
        found = self.found.find("globalAddresses", name)
        self.address = gcp.compute.GlobalAddress(
            "balancer",
            name=name,
            description=describe(self.scope),
            labels=make_labels(self.scope),
            # The owner's are there, too: another checkout is no change of the stack.
            opts=self.options(opts, found, ignore=["*", "labels"]),
        )
        self.closed = gcp.compute.BackendService(
            "closed",
            name=f"{name}-closed",
            description=describe(self.scope),
            load_balancing_scheme=SCHEME,
            protocol="HTTP",
            # Google holds it for used for a moment after the last URL map: `GcpPointer` removes it.
            opts=self.options(opts, self.found.find_service(f"{name}-closed"), retain=True),
        )
        self.secure, self.secured = self._declare_certificates()
        for shared in dict.fromkeys(front.map for front in fronts):
            self._declare_way([front for front in fronts if front.map == shared])
        if not found:
            self.write_owner_after(self.address.address)
        self.answers_at = self.address.address
        return self.address

    def _make_fronts(self, routes: Sequence[Route]) -> Iterator[Front]:
        secure = bool(self.settings.certificate)
        for route in routes:
            scope = replace(self.scope, service=route.service)
            yield Front(scope, route, route.port or self.settings.host_port, secure)
        if port := self.settings.redirect:
            yield Front(self.scope, Route("", port), port)

    def _refuse_taken(self, front: Front) -> None:
        """Refuse a route that leads to another service until the end of this run.

        Raises:
            SettingsError: It does.
        """
        old = self.found.leads(front)
        is_other = old != front.map and not old.startswith(make_name(self.scope))
        if is_other and self.found.is_serving(old):
            refuse_others(f"The port {front.port}", front.scope.service, [old])
        service = find_holder(self.found.maps.get(front.map, {}), front.host)
        if service not in ("", front.scope.service):
            refuse_others(f"The host {front.host}", front.scope.service, [service])
        self._refuse_another_protocol(front, old)

    def _refuse_another_protocol(self, front: Front, old: str) -> None:
        """Refuse a port in use another protocol: it would answer nobody between two rules.

        A rule's new target has to be of the old one's type, and two rules cannot have one port.
        https://docs.cloud.google.com/compute/docs/reference/rest/v1/globalForwardingRules/setTarget

        Raises:
            SettingsError: The port has a rule of the other kind, and servers are served by it.
        """
        if self.found.is_serving(old) and not self.found.find_rule(front):
            raise SettingsError(
                f"The port {front.port} is in use, and cannot change between HTTP and HTTPS",
                facts=[
                    "Google would answer nobody there between the old forwarding rule and a new"
                ],
                todo="Make it in two runs: give what is there another port in the first (as route,"
                " or as shared_port under immutable-servers:gcp), and this one in the second.",
            )

    def _declare_certificates(self) -> tuple[Mapping[str, Any], Sequence[pulumi.Resource]]:
        """Declare a certificate for each domain, so that a new one leaves the others valid.

        Returns:
            What a proxy that speaks HTTPS takes, and its resources; nothing without a domain.
        """
        name, words, certificates = make_name(self.scope), describe(self.scope), []
        for domain in self.settings.certificate:
            own = f"{name}-{sha256(domain.encode()).hexdigest()[:8]}"
            certificates.append(
                gcp.compute.ManagedSslCertificate(
                    domain,
                    name=own,
                    description=words,
                    managed={"domains": [domain]},
                    opts=self.options(ResourceOptions(), self.found.find("sslCertificates", own)),
                )
            )
        if not certificates:
            return {}, ()
        # What Google takes without a word still speaks TLS 1.0.
        # https://docs.cloud.google.com/load-balancing/docs/ssl-policies-concepts
        policy = gcp.compute.SSLPolicy(
            "balancer",
            name=name,
            description=words,
            profile="MODERN",
            min_tls_version="TLS_1_2",
            opts=self.options(ResourceOptions(), self.found.find("sslPolicies", name)),
        )
        ids = [one.id for one in certificates]
        secure = {"ssl_certificates": ids, "ssl_policy": policy.id}
        return secure, [*certificates, policy]

    def _declare_way(self, fronts: Sequence[Front]) -> None:
        """Declare URL map, pointers, proxy and forwarding rule of services that share a map.

        The engine deletes none of them, so that no name that somebody changed in the state takes
        away what serves; `GcpPointer` removes what a service has no longer.
        """
        front = fronts[0]
        title = "by.host" if front.route.host else front.scope.service or "redirect.http"
        url_map = self._declare_map(title, front, self.scope if front.route.host else front.scope)
        pointers = [self._declare_pointer(one, url_map) for one in fronts]
        secure = self.secure if front.secure else {}
        make = gcp.compute.TargetHttpsProxy if secure else gcp.compute.TargetHttpProxy
        proxy: pulumi.CustomResource = make(
            title,
            name=front.map,
            description=describe(self.scope),
            url_map=url_map.id,
            opts=self.keep(self.found.find_proxy(front), depends=pointers),
            **secure,
        )
        way = self._declare_rule(front, proxy)
        self.ways.update({one.scope.service: way for one in fronts})

    def _declare_rule(self, front: Front, proxy: pulumi.CustomResource) -> pulumi.CustomResource:
        # Of another protocol it is another rule, since it keeps the kind of its target.
        title = f"port.{front.port}.https" if front.secure else f"port.{front.port}"
        rule: pulumi.CustomResource = gcp.compute.GlobalForwardingRule(
            title,
            name=front.rule,
            description=describe(self.scope),
            labels=make_labels(self.scope),
            ip_address=self.address.address,
            ip_protocol="TCP",
            port_range=str(front.port),
            load_balancing_scheme=SCHEME,
            target=proxy.id,
            # The provider imports no labels, and takes those of the program for a change then.
            # https://github.com/pulumi/pulumi-gcp/issues/3044
            opts=self.keep(self.found.find_rule(front), ignore=["labels"]),
        )
        return rule

    def _declare_map(self, title: str, front: Front, scope: Scope) -> gcp.compute.URLMap:
        """Declare a URL map, which the provider makes and never changes."""
        closed = [{"backend_service": self.closed.id, "weight": 1}]
        unknown = {"fault_injection_policy": NO_HOST, "weighted_backend_services": closed}
        service = front.scope.service
        default = (
            {"default_route_action": unknown} if service else {"default_url_redirect": TO_HTTPS}
        )
        ours = ["*", *MAP_LISTS] if service else ()
        return gcp.compute.URLMap(
            title,
            name=front.map,
            description=describe(scope),
            opts=self.keep(self.found.find_map(front.map), ignore=ours),
            **default,
        )

    def _declare_pointer(self, front: Front, url_map: gcp.compute.URLMap) -> GcpPointer:
        inputs = {
            "settings": self.plain,
            "port": front.port,
            "map": url_map.id,
            "gone": self.found.misses(front),
            "secure": bool(self.secure),
        }
        # What the chain uses is deleted after the pointer has removed the chain.
        used = ResourceOptions(depends_on=[self.address, *self.secured])
        return GcpPointer(GcpPointerProvider(), front.scope, front.route, inputs, used)

    def declare_base(self, scope: Scope) -> Sequence[pulumi.CustomResource]:
        """Declare a service's account, and the rule by which nobody reaches its servers.

        All generations of the service share them.
        """
        scope = of_service(scope)
        if scope.service in self.bases:
            return self.bases[scope.service]
        name, made = make_name(scope), []
        if scope.service not in self.settings.service_accounts:
            whose = f"{scope.service} of {scope.project}/{scope.stack}"
            made = [
                gcp.serviceaccount.Account(
                    scope.service,
                    account_id=name,
                    display_name=whose[:MOST_TITLE],
                    # So nobody is asked whether it is there.
                    create_ignore_already_exists=True,
                    opts=self.options(ResourceOptions(), None),
                )
            ]
        everything = {"denies": [{"protocol": "all"}], "source_ranges": ["0.0.0.0/0"]}
        rule = self.describe_rule(scope, f"{name}-closed", priority=CLOSED, **everything)
        opts = self.options(ResourceOptions(), self.found.find_firewall(rule["name"]))
        closed = gcp.compute.Firewall(f"{scope.service}-closed", opts=opts, **rule)
        self.bases[scope.service] = [*made, closed]
        return self.bases[scope.service]

    def describe_rule(self, scope: Scope, name: str, **rule: Any) -> dict[str, Any]:  # noqa: ANN401 - the provider's own
        """Return the arguments of a firewall rule about a service's servers."""
        kind, value = self.settings.find_rule_target(scope)
        return {
            "name": name,
            "description": describe(scope),
            "network": self.settings.network,
            "direction": "INGRESS",
            f"target_{kind}": [value],
            **rule,
        }


def _refuse_shared(fronts: Sequence[Front]) -> None:
    """Refuse a port that is to lead to more than one URL map: it has one rule.

    Raises:
        SettingsError: There is one.
    """
    for port in dict.fromkeys(front.port for front in fronts):
        there = [front for front in fronts if front.port == port]
        if len({front.map for front in there}) > 1:
            raise SettingsError(
                f"The port {port} cannot lead to all that is to be there",
                facts=[front.what for front in there],
                todo="Give a service another route port, or set shared_port or redirect under"
                " immutable-servers:gcp.",
            )
