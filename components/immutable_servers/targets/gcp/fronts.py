"""Names what leads from the stack's address to a URL map, and removes it when it is to go.

A front is a forwarding rule for a port, a proxy and a URL map. The stack has one address, so a
rule's name is the stack's with the port; a proxy has its map's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.balancer import name_map
from immutable_servers.targets.gcp.names import last_part, make_name
from immutable_servers.targets.gcp.url_maps import ANY_HOST

PROXIES = ("targetHttpProxies", "targetHttpsProxies")
"""By whether they speak HTTPS."""


@dataclass(frozen=True)
class Front:
    """How requests come to a service's part of a URL map.

    Attributes:
        scope: The service's, or the stack's own for a redirect to HTTPS.
        port: The route's, or the one that services by host name share.
        secure: Its proxy speaks HTTPS; that of a redirect never does.
    """

    scope: Scope
    route: Route
    port: int
    secure: bool = False

    @property
    def map(self) -> str:
        """The URL map's name, which the proxy has too."""
        if self.scope.service:
            return name_map(self.scope, self.route)
        return f"{make_name(self.scope)}-redirect"

    @property
    def proxies(self) -> str:
        """The kind of its proxy."""
        return PROXIES[self.secure]

    @property
    def host(self) -> str:
        """The host that leads to the service in its map."""
        return self.route.host or ANY_HOST

    @property
    def what(self) -> str:
        """What leads there, for a reader."""
        service = f"the service {self.scope.service}"
        by_host = f"{service} by the host {self.route.host}" if self.route.host else service
        return by_host if self.scope.service else "the redirect to HTTPS"

    @property
    def rule(self) -> str:
        """The forwarding rule's name."""
        return f"{make_name(self.scope.of_stack)}-{self.port}"

    def leads_as(self, other: "Front") -> bool:
        """Return whether another front leads to the same part of the same map."""
        return (self.map, self.host) == (other.map, other.host)


def free_port(api: Api, front: Front) -> None:
    """Remove the rule of a front's port that leads to a proxy of the other kind.

    A rule keeps the kind of its target, and the port takes one rule.
    https://docs.cloud.google.com/compute/docs/reference/rest/v1/globalForwardingRules/setTarget
    """
    rule = list_rules(api, front.scope).get(front.rule)
    if rule and f"/{front.proxies}/" not in rule["target"]:
        api.delete("globalForwardingRules", front.rule)


def list_rules(api: Api, scope: Scope) -> Mapping[str, Mapping[str, Any]]:
    """Return the forwarding rules of a stack's address by name."""
    name = f'name eq "{make_name(scope.of_stack)}-.*"'
    return {one["name"]: one for one in api.list("globalForwardingRules", filter=name)}


def remove_front(api: Api, front: Front) -> None:
    """Remove the rule of a front, proxies that no rule leads to, and with the last rule the map.

    A map that still leads somewhere keeps its last rule: somebody changed a name in the state.
    """
    rules = list_rules(api, front.scope)
    ours = {name: one for name, one in rules.items() if last_part(one["target"]) == front.map}
    stays = bool((api.find("urlMaps", named=front.map) or {}).get("hostRules"))
    if front.rule in ours and (len(ours) > 1 or not stays):
        api.delete("globalForwardingRules", front.rule)
        del ours[front.rule]
    if not stays or ours:
        for kind in PROXIES:
            if not any(f"/{kind}/" in one["target"] for one in ours.values()):
                api.delete(kind, front.map)
    if not stays and not ours:
        api.delete("urlMaps", front.map)
