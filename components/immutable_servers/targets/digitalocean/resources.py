"""Our own resources among the provider's: what waits, and what deletes what the engine lets go of.

The engine deletes no droplet: neither it nor DigitalOcean would ask who is served. `DoGeneration`
comes before the droplets, so that the engine has forgotten them when it is its turn. `DoEnd` comes
after what leads to a service, so that it can stop the engine.
"""

from typing import Any

from immutable_servers.contract.values import Launch, Say, Scope
from immutable_servers.resources.declared import find_declared
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.cloud.balancer import refuse_leading
from immutable_servers.targets.cloud.fleet import (
    CloudEnd,
    CloudFleet,
    EndProvider,
    FleetProvider,
    GenerationProvider,
)
from immutable_servers.targets.digitalocean import DoTarget


class DoEndProvider(EndProvider):
    """Asks who is served before what leads to a service goes, and forgets whose a stack was.

    The engine deletes load balancer, firewall and tags after a service's, and the stack's tag
    before a stack's.
    """

    make = DoTarget

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop the engine where somebody is served, or remove the stack's owner."""
        scope, services = Scope.from_plain(props["scope"]), find_declared().services
        if not scope.service:
            self.load(props).ownership.remove_owner(scope)
        elif scope.service not in services:
            weights = self.load(props).balancer.find_weights(scope).items()
            leading = [f"generation {one}: {weight} %" for one, weight in weights if weight]
            refuse_leading(scope.service, leading)


class DoEnd(CloudEnd, module="immutable-servers", name="DoEnd"):
    """The end of a service's way, or of a stack."""


class DoGenerationProvider(GenerationProvider):
    """Deletes a generation's droplets, and all that only they needed."""

    make = DoTarget


class DoGeneration(CloudEnd, module="immutable-servers", name="DoGeneration"):
    """A generation's end: its droplets depend on this."""


class DoFleetProvider(FleetProvider):
    """Waits until each droplet of a generation answers."""

    make = DoTarget
    needs = ("droplets", "balancer", "window_ends")
    updates = ("servers", "droplets")

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        """End what is of the generation and not declared, then wait for the others."""
        scope, target = Scope.from_plain(props["scope"]), self.load(props)
        say = start_saying("launch", scope)
        target.fleets.complete(scope, int(props["servers"]), props["droplets"], say)
        with target.access.hold_asking(scope):
            return super()._wait(props)

    def _ask_front(self, target: Any, launch: Launch, scope: Scope, say: Say) -> None:  # noqa: ANN401 - the target's own class
        """Have droplets that came to others with traffic join them, once they answer."""
        del launch, say
        target.fleets.lead(scope)


class DoFleet(CloudFleet, module="immutable-servers", name="DoFleet"):
    """A generation's droplets, once they serve."""
