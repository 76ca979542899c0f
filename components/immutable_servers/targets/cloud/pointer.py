"""The resource that leads a route to a service, on every cloud, and takes away what led there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.values import Route, Scope
from immutable_servers.resources.dynamic import Provider, Resource


class CloudProvider(Provider):
    """Makes its cloud's target of the settings among the inputs.

    Attributes:
        make: The cloud's own target.
    """

    make: ClassVar[type[Any]]

    def load(self, props: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a cloud's own target
        """Make the target."""
        return self.make(restore_numbers(props["settings"]))


class PointerProvider(CloudProvider, ABC):
    """Removes what leads to a service, in place of the engine, which would not ask first."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Begin: what the route has at the balancer depends on this, and comes next."""
        self.require(props)
        self._begin(props, *self._read(props))
        return dynamic.CreateResult(name_pointer(Route.from_plain(props["route"])), props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End: the engine has let go of what the route had, and Traffic has moved."""
        self._end(props, *self._read(props))

    def _read(self, props: Mapping[str, Any]) -> tuple[Any, Scope, Route]:
        scope, route = Scope.from_plain(props["scope"]), Route.from_plain(props["route"])
        return self.load(props), scope, route

    @abstractmethod
    def _begin(self, props: Mapping[str, Any], target: Any, scope: Scope, route: Route) -> None:  # noqa: ANN401 - a cloud's own target
        """Lead the route to the service, as far as that is no resource of its own."""

    @abstractmethod
    def _end(self, props: Mapping[str, Any], target: Any, scope: Scope, route: Route) -> None:  # noqa: ANN401 - a cloud's own target
        """Remove what leads there."""


class CloudPointer(Resource, module="immutable-servers", name="CloudPointer"):
    """The route of a service, before what it has at the balancer."""

    def __init__(
        self,
        provider: PointerProvider,
        scope: Scope,
        route: Route,
        inputs: Mapping[str, Input[Any]],
        opts: ResourceOptions | None = None,
    ) -> None:
        """Register under service and route: another route is another pointer."""
        own = {"scope": scope.to_plain(), "route": route.to_plain()}
        super().__init__(provider, name_pointer(route), {**own, **inputs}, (), opts)


def name_pointer(route: Route) -> str:
    """Return a pointer's name; without a service it is the redirect's."""
    return f"{route.service or 'redirect'}.{route.host or route.port}"
