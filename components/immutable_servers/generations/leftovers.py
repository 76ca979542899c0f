"""`Leftovers`: deletes fleets of runs that died before their state recorded them.

Pulumi deletes what its state holds. A fleet that only the target knows, and that the source does
not ask for any more, would otherwise stay for ever.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, ResourceOptions

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.resources.declared import find_declared
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site
from immutable_servers.traffic.settling import wait_until_left

NAME = "leftovers"


class LeftoversProvider(PlacedProvider):
    """Has something to do only while there is something to delete."""

    phase = "retire"
    needs = ("verdict",)
    fixed_id = NAME

    def _find_drift(
        self, _site: Site, _olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Name the services that have fleets to delete."""
        return [service for service, generations in news["generations"].items() if generations]

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Delete them, each as a retired generation: unless it serves, and drained first."""
        for service, generations in props["generations"].items():
            for generation in generations:
                at = site.of(service, generation)
                refuse_if_serving(at.target.balancer.find_weights(at.scope), at.scope)
                wait_until_left(at.place, find_declared().services.get(service), at.say)
                at.target.balancer.drain(at.scope, float(props["drains"][service]), at.say)
                at.target.fleets.delete(at.scope)
                at.target.access.delete_key(at.scope)
        return props


class Leftovers(PlacedResource, module="immutable-servers", name="Leftovers"):
    """The fleets of a stack that neither the ledger nor this run knows."""

    def __init__(
        self,
        place: Place,
        generations: Mapping[str, Sequence[str]],
        drains: Mapping[str, float],
        verdict: Input[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        """Register under its fixed name.

        Args:
            place: The stack's place.
            generations: For each service the ids of fleets to delete.
            drains: For each service the seconds that old connections may take: a run that was
                killed in a canary may have sent such a fleet some.
            verdict: The id of the run's verdict: nothing is deleted before it.
            opts: The resource's options.
        """
        inputs: dict[str, Input[Any]] = {
            "generations": generations,
            "drains": drains,
            "verdict": verdict,
        }
        super().__init__(LeftoversProvider(), NAME, place, inputs, opts=opts)
