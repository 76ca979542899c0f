"""`AwsFleet <generation>` waits for servers; `AwsPointer <service>` removes a route that goes."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Route, Scope
from immutable_servers.resources.declared import find_declared
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.cloud.fleet import CloudFleet, FleetProvider
from immutable_servers.targets.cloud.pointer import CloudPointer, PointerProvider


class AwsFleetProvider(FleetProvider):
    """Waits for servers of an Auto Scaling group."""

    make = AwsTarget
    needs = ("group", "balancer", "window_ends")


class AwsFleet(CloudFleet, module="immutable-servers", name="AwsFleet"):
    """A generation's servers, once its Auto Scaling group has launched them."""


class AwsPointerProvider(PointerProvider):
    """Removes the listener or the rule of a route."""

    make = AwsTarget

    def _begin(
        self, _props: Mapping[str, Any], target: AwsTarget, scope: Scope, _route: Route
    ) -> None:
        target.balancer.standing.forget_pointer(scope)

    def _end(
        self, _props: Mapping[str, Any], target: AwsTarget, scope: Scope, route: Route
    ) -> None:
        target.balancer.standing.forget_pointer(scope)
        stays = scope.service in find_declared().services
        target.balancer.remove_pointer(scope, route, stays=stays)


class AwsPointer(CloudPointer, module="immutable-servers", name="AwsPointer"):
    """The route of a service, before the listener or the rule that it has at the balancer."""

    def __init__(self, scope: Scope, route: Route, settings: Mapping[str, Any]) -> None:
        """Register with what is needed to remove it."""
        super().__init__(AwsPointerProvider(), scope, route, {"settings": settings})
