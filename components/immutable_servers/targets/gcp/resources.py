"""Our own resources among the provider's: what waits, and what deletes what the engine lets go of.

The engine deletes no generation and no way to a service: it would not ask who is served, and
Google's provider takes what is gone already for an error. `GcpGeneration` and `GcpPointer` come
before what they delete, so that the engine has forgotten that when it is their turn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import dynamic

from immutable_servers.contract.front import Front as Question
from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.values import Launch, Route, Say, Scope
from immutable_servers.resources.declared import find_declared
from immutable_servers.targets.cloud.fleet import (
    CloudEnd,
    CloudFleet,
    FleetProvider,
    GenerationProvider,
)
from immutable_servers.targets.cloud.pointer import CloudPointer, PointerProvider
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.fronts import Front, free_port, remove_front


class GcpGenerationProvider(GenerationProvider):
    """Deletes a generation, and its autoscaler before when the settings have none."""

    make = GcpTarget
    updates = ("scaled",)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Delete the autoscaler that the settings have no longer, before its group is resized."""
        if not news.get("scaled"):
            self.load(news).balancer.autoscalers.remove(Scope.from_plain(news["scope"]))
        return dynamic.UpdateResult(news)


class GcpGeneration(CloudEnd, module="immutable-servers", name="GcpGeneration"):
    """A generation's end, after all that it has at Google."""


class GcpFleetProvider(FleetProvider):
    """Waits for servers of an instance group, to which it leads requests with their header."""

    make = GcpTarget
    updates = ("servers", "scaling")
    needs = ("group", "service", "balancer", "window_ends")

    def update(
        self, identity: str, olds: dict[str, Any], news: dict[str, Any]
    ) -> dynamic.UpdateResult:
        """Wait for another number of servers, or have it be `servers` again."""
        if olds.get("scaling") and not news.get("scaling"):
            scope = Scope.from_plain(news["scope"])
            self.load(news).fleets.groups.resize(scope, int(news["servers"]))
        return super().update(identity, olds, news)

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        if limits := props.get("scaling"):
            scope, servers = Scope.from_plain(props["scope"]), int(props["servers"])
            self.load(props).balancer.autoscalers.limit(scope, servers, restore_numbers(limits))
        return super()._wait(props)

    def _lead(self, target: GcpTarget, scope: Scope) -> None:
        target.balancer.add_route(scope)

    def _ask_front(self, target: GcpTarget, launch: Launch, scope: Scope, say: Say) -> None:
        if declared := find_declared().services.get(scope.service):
            question = Question.from_plain(declared)
            target.balancer.wait_until_led(scope, question, say, named=launch.generation_header)


class GcpFleet(CloudFleet, module="immutable-servers", name="GcpFleet"):
    """A generation's servers, once its group has made them and the balancer asks them."""


class GcpPointerProvider(PointerProvider):
    """Leads a port or a host to a service, and takes away what led there when it is to go."""

    make = GcpTarget
    replaces = ("port", "secure")
    needs = ("map",)

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Ask for the service's part again that somebody took out of the map."""
        return ("gone",) if news["gone"] else ()

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Put back what is gone."""
        self._begin(news, *self._read(news))
        return dynamic.UpdateResult(news)

    def _begin(
        self, props: Mapping[str, Any], target: GcpTarget, scope: Scope, route: Route
    ) -> None:
        """Give the service its part of the URL map, where nobody is served before Traffic says."""
        if scope.service:  # a redirect needs no more than its map
            target.balancer.add_service(scope, route)
        secure = bool(props["secure"] and scope.service)
        free_port(target.balancer.api, Front(scope, route, int(props["port"]), secure))

    def _end(self, props: Mapping[str, Any], target: GcpTarget, scope: Scope, route: Route) -> None:
        """Remove the route, and with the last map of a stack the service without servers."""
        front, services = Front(scope, route, int(props["port"])), find_declared().services
        declared = services.get(scope.service)
        stays = Front(scope, Route.from_plain(declared["route"]), 0) if declared else None
        if scope.service and not (stays and stays.leads_as(front)):
            target.balancer.remove_service(scope, route, stays=bool(stays))
        remove_front(target.balancer.api, front)
        if not services:
            target.balancer.remove_closed(scope)


class GcpPointer(CloudPointer, module="immutable-servers", name="GcpPointer"):
    """The route of a service: its part of a URL map, before the proxy and the rule to the map.

    Without a service it is the port whose requests are redirected to HTTPS. `gone` among the inputs
    says that the program has found the service's part missing, and `secure` that the proxy speaks
    HTTPS: with the other kind goes what led to it.
    """
