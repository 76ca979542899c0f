"""What the local target declares in a run's graph."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pulumi

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.local.balancer import LocalBalancer
from immutable_servers.targets.local.resources import Balancer, LocalFleet
from immutable_servers.targets.local.settings import LocalSettings


class LocalGraph(Graph):
    """The stack's HAProxy, and a fleet of machines for each generation."""

    def __init__(self, scope: Scope, settings: LocalSettings) -> None:
        self.scope, self.settings = scope, settings
        self.balancer = LocalBalancer(settings)

    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: pulumi.ResourceOptions
    ) -> pulumi.CustomResource:
        """Declare the stack's HAProxy."""
        del sizes
        given = [self.balancer.give_port(route) for route in routes]
        return Balancer(self.scope, given, self.settings.make_limits(), opts)

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, pulumi.Input[Any]],
        *,
        frozen: bool,
        opts: pulumi.ResourceOptions,
    ) -> pulumi.CustomResource:
        """Declare a generation's machines; `frozen` ignores all changes but the server count."""
        settings = self.settings.model_dump(mode="json")
        return LocalFleet(name, settings, spec, frozen=frozen, opts=opts)

    def declare_address(self, route: Route, scope: Scope) -> str:
        """Return what is known without the run."""
        return self.balancer.find_address(route, scope)
