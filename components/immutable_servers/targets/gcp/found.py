"""Finds what Google has under a stack's names already: what a killed run made is adopted.

Pulumi imports a resource that is named here and that its state lacks; one that its state has is
left as it is. Names are computed, and what is in use is there: only what nothing refers to is asked
for by its name.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.gcp.fronts import Front, list_rules
from immutable_servers.targets.gcp.groups import Groups
from immutable_servers.targets.gcp.names import last_part
from immutable_servers.targets.gcp.url_maps import find_holder, find_matcher, read_weights

CALLED = {"globalAddresses": "addresses", "globalForwardingRules": "forwardingRules"}
"""Kinds that ids call otherwise."""


class Found:
    """A stack's things at Google, each kind asked for once when it is first needed."""

    def __init__(self, scope: Scope, groups: Groups) -> None:
        self.scope, self.instance_groups, self.api = scope.of_stack, groups, groups.api
        self.region = f"regions/{self.api.settings.region}"

    def make_id(self, kind: str, name: str, place: str = "global") -> str:
        """Return a thing's id, as the provider makes it."""
        return f"projects/{self.api.settings.project}/{place}/{CALLED.get(kind, kind)}/{name}"

    def find(self, kind: str, name: str, *, used: bool = False) -> str | None:
        """Return the id of a thing that is there, None without one.

        Args:
            kind: Google's word for its collection.
            name: Its name.
            used: Something refers to it, so that nobody has to be asked.
        """
        there = used or self.api.find(kind, named=name)
        return self.make_id(kind, name) if there else None

    @cached_property
    def maps(self) -> Mapping[str, Mapping[str, Any]]:
        """The URL maps of the project by name, as the plan has been told already."""
        return {one["name"]: one for one in self.api.list("urlMaps")}

    def find_map(self, name: str) -> str | None:
        """Return the id of a URL map."""
        return self.make_id("urlMaps", name) if name in self.maps else None

    @cached_property
    def rules(self) -> Mapping[str, Mapping[str, Any]]:
        """The forwarding rules of the stack's address by name."""
        return list_rules(self.api, self.scope)

    def find_rule(self, front: Front) -> str | None:
        """Return the id of a front's forwarding rule, if it leads to a proxy of its kind."""
        there = f"/{front.proxies}/" in self.rules.get(front.rule, {}).get("target", "")
        return self.make_id("globalForwardingRules", front.rule) if there else None

    def leads(self, front: Front) -> str:
        """Return the name of the map to which a front's port leads now; empty when it is free."""
        rule = self.rules.get(front.rule)
        return last_part(rule["target"]) if rule else ""

    def find_proxy(self, front: Front) -> str | None:
        """Return the id of a front's proxy."""
        ends = f"/{front.proxies}/{front.map}"
        used = any(rule["target"].endswith(ends) for rule in self.rules.values())
        return self.find(front.proxies, front.map, used=used)

    def misses(self, front: Front) -> bool:
        """Return whether a map is there and lacks a service's part."""
        found, service = self.maps.get(front.map), front.scope.service
        if found is None or not service:
            return False
        return find_holder(found, front.host) != service or find_matcher(found, service) is None

    def is_serving(self, name: str) -> bool:
        """Return whether a map sends anybody to servers."""
        found = self.maps.get(name, {})
        return any(read_weights(one) for one in found.get("pathMatchers") or ())

    @cached_property
    def _used(self) -> set[str]:
        """The backend services that maps refer to."""
        return {name for one in self.maps.values() for name in _list_services(one)}

    @cached_property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """The instance groups of the stack by name."""
        return {one["name"]: one for one in self.instance_groups.find_all(self.scope)}

    def find_group(self, name: str) -> str | None:
        """Return the id of a generation's instance group."""
        there = name in self.groups
        return self.make_id("instanceGroupManagers", name, self.region) if there else None

    def find_autoscaler(self, name: str) -> str | None:
        """Return the id of a generation's autoscaler, which its group names."""
        status = self.groups.get(name, {}).get("status", {})
        there = last_part(status.get("autoscaler", "")) == name
        return self.make_id("autoscalers", name, self.region) if there else None

    def count_serving(self, service: str) -> int:
        """Return how many servers a service's group has that gets its traffic."""
        pointers = filter(None, (find_matcher(one, service) for one in self.maps.values()))
        names = {name for one in pointers for name in read_weights(one)} & self.groups.keys()
        return max((int(self.groups[name]["targetSize"]) for name in names), default=0)

    def find_template(self, name: str) -> str | None:
        """Return the id of a generation's template, which its group refers to."""
        return self.find("instanceTemplates", name, used=name in self.groups)

    def find_service(self, name: str) -> str | None:
        """Return the id of a backend service, to which a map refers."""
        return self.find("backendServices", name, used=name in self._used)

    def find_check(self, name: str) -> str | None:
        """Return the id of a generation's health check, which its backend service refers to."""
        return self.find("healthChecks", name, used=name in self._used)

    @cached_property
    def firewalls(self) -> set[str]:
        """The names of the project's firewall rules."""
        return {one["name"] for one in self.api.list("firewalls")}

    def find_firewall(self, name: str) -> str | None:
        """Return the id of a firewall rule."""
        return self.make_id("firewalls", name) if name in self.firewalls else None


def _list_services(url_map: Mapping[str, Any]) -> Iterator[str]:
    for one in (url_map.get("defaultRouteAction") or {}).get("weightedBackendServices", ()):
        yield last_part(one["backendService"])
    for matcher in url_map.get("pathMatchers") or ():
        yield from read_weights(matcher)
        yield from (last_part(rule.get("service", "")) for rule in matcher.get("routeRules") or ())
