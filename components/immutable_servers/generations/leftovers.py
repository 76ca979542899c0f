"""`Leftovers`: deletes fleets that a run launched and died before its state knew of them.

Pulumi deletes what its state holds. A fleet that only the target knows, and that the source does
not ask for any more, would stay for ever.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import Place, read_place

NAME = "leftovers"


class LeftoversProvider(Provider):
    """Has something to do only while there is something to delete."""

    needs = ("verdict",)

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Name the services that have some."""
        return [service for service, generations in news["generations"].items() if generations]

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Delete what there is."""
        self.require(props)
        _delete_all(props)
        return dynamic.CreateResult(NAME, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Delete what there is."""
        _delete_all(news)
        return dynamic.UpdateResult(news)


def _delete_all(props: Mapping[str, Any]) -> None:
    place = read_place(props)
    for service, generations in props["generations"].items():
        for generation in generations:
            at = place.of(service, generation)
            target = at.load()
            refuse_if_serving(target.find_traffic(at.scope), at.scope)
            target.drain(
                at.scope, float(props["drains"][service]), start_saying("retire", at.scope)
            )
            target.delete_fleet(at.scope)
            target.delete_key(at.scope)


class Leftovers(Resource, module="immutable-servers", name="Leftovers"):
    """What the target has of a stack that neither the ledger nor this run knows."""

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
        inputs = {**place.to_inputs(), "generations": generations, "drains": drains}
        inputs["verdict"] = verdict
        super().__init__(LeftoversProvider(), NAME, inputs, (), opts)
