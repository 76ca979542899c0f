"""The instant target's resources: thin shells, as a real target's are."""

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import dynamic

from immutable_servers.contract.values import FleetSpec
from immutable_servers.resources.dynamic import Provider, Resource, require_new_window
from immutable_servers.targets.place import Place, read_place

if TYPE_CHECKING:
    from instant_target import InstantTarget


class BalancerProvider(Provider):
    """Holds routes and nothing else."""

    updates = ("routes",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Take the stack's name."""
        return dynamic.CreateResult(read_place(props).scope.name, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Take the new routes."""
        return dynamic.UpdateResult(news)


class InstantBalancerFile(Resource, module="immutable-servers", name="InstantBalancer"):
    """The balancer."""

    def __init__(self, place: Place, routes: Sequence[Any], opts: pulumi.ResourceOptions) -> None:
        inputs = {**place.to_inputs(), "routes": routes}
        super().__init__(BalancerProvider(), "balancer", inputs, (), opts)


class FleetProvider(Provider):
    """Makes, grows, mends and deletes a fleet."""

    updates = ("servers",)
    needs = ("artifact", "balancer", "public_key", "window_ends")

    def find_drift(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Compare the folder with what it should hold."""
        place = read_place(news)
        target, generation = place.load(), place.scope.generation
        fleet = target.fleets.find(place.scope).get(generation)
        drift = [
            one for one in target.fleets.find_drift(place.scope) if one.generation == generation
        ]
        return () if fleet and not drift else ("servers",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Launch, or adopt what a killed launch left."""
        self.require(props)
        spec, handle = FleetSpec.from_plain(props), secrets.token_hex(4)
        _find_target(props).world.launch(spec, handle)
        return dynamic.CreateResult(spec.scope.name, {**props, "handle": handle})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Bring it to its count."""
        spec, target = FleetSpec.from_plain(news), _find_target(news)
        if spec.scope.generation not in target.fleets.find(spec.scope):
            require_new_window(olds, news)
        target.world.launch(spec)
        return dynamic.UpdateResult({**news, "handle": olds.get("handle")})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete to the end, unless another resource has adopted it since."""
        target, scope = _find_target(props), read_place(props).scope
        if target.world.find_handle(scope) in ("", props["handle"]):
            target.world.delete(scope)


def _find_target(props: Mapping[str, Any]) -> "InstantTarget":
    from instant_target import InstantTarget  # noqa: PLC0415 - it imports this module

    return InstantTarget(read_place(props).settings)


class InstantFleet(Resource, module="immutable-servers", name="InstantFleet"):
    """A fleet."""

    def __init__(
        self,
        name: str,
        place: Place,
        spec: Mapping[str, Any],
        *,
        frozen: bool,
        opts: pulumi.ResourceOptions,
    ) -> None:
        inputs = {**spec, **place.to_inputs()}
        ignored = [key for key in inputs if key != "servers"] if frozen else None
        merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=ignored))
        super().__init__(FleetProvider(), name, inputs, (), merged)
