"""The instant target's resources and graph: thin shells, as a real target's are."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pulumi
from instant_world import World

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.values import FleetSpec, Route, Scope
from immutable_servers.resources.dynamic import require_new_window
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class BalancerProvider(PlacedProvider):
    """Holds routes and nothing else."""

    updates = ("routes",)


class FleetProvider(PlacedProvider):
    """Makes, grows, repairs and deletes a fleet."""

    updates = ("servers",)
    needs = ("artifact", "balancer", "public_key", "window_ends")

    def _find_drift(
        self, site: Site, _olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        generation, fleets = site.scope.generation, site.target.fleets
        drift = [one for one in fleets.find_drift(site.scope) if one.generation == generation]
        fleet = fleets.find(site.scope).get(generation)
        return () if fleet and fleet.servers == news["servers"] and not drift else ("servers",)

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        handle = secrets.token_hex(4)
        find_world(site).launch(FleetSpec.from_plain(props), handle)
        return {**props, "handle": handle}

    def _update(self, site: Site, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        if site.scope.generation not in site.target.fleets.find(site.scope):
            require_new_window(olds, news)
        find_world(site).launch(FleetSpec.from_plain(news))
        return {**news, "handle": olds.get("handle")}

    def _delete(self, site: Site, props: dict[str, Any]) -> None:
        """Delete completely, unless another resource has adopted it since."""
        if find_world(site).find_handle(site.scope) in ("", props["handle"]):
            site.target.fleets.delete(site.scope)


def find_world(site: Site) -> World:
    """Return the target's world."""
    return site.target.world  # type: ignore[attr-defined, no-any-return]


class InstantBalancerFile(PlacedResource, module="immutable-servers", name="InstantBalancer"):
    """The balancer."""


class InstantFleet(PlacedResource, module="immutable-servers", name="InstantFleet"):
    """A fleet."""


class InstantGraph(Graph):
    """Declares the files as resources."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: pulumi.ResourceOptions
    ) -> pulumi.CustomResource:
        del sizes
        inputs = {"routes": [route.to_plain() for route in routes]}
        return InstantBalancerFile(BalancerProvider(), "balancer", self.place, inputs, opts=opts)

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, pulumi.Input[Any]],
        *,
        frozen: bool,
        opts: pulumi.ResourceOptions,
    ) -> pulumi.CustomResource:
        scope = Scope.from_plain(spec["scope"])  # type: ignore[arg-type]
        ignored = [key for key in (*spec, "place") if key != "servers"] if frozen else None
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=ignored))
        place = self.place.of(scope.service, scope.generation)
        return InstantFleet(FleetProvider(), name, place, spec, opts=opts)

    def declare_address(self, route: Route, scope: Scope) -> str:
        return self.place.load().balancer.find_address(route, scope)
