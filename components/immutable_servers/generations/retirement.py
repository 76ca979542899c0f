"""`Retirement <generation>`: the way out, taken when the generation is no longer declared.

It depends on the fleet, so Pulumi deletes it first: the fleet goes only after the balancer was
read, sends it nothing, and its connections have ended.
"""

from typing import Any

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import Place, read_place


class RetirementProvider(Provider):
    """Drains on delete, and does nothing before."""

    needs = ("fleet",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Remember how to ask and how long to wait."""
        self.require(props)
        return dynamic.CreateResult(read_place(props).scope.name, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Refuse while it serves, then wait for its connections to end."""
        place = read_place(props)
        target = place.load()
        refuse_if_serving(target.find_traffic(place.scope), place.scope)
        say = start_saying("retire", place.scope)
        target.drain(place.scope, float(props["drain"]), say)


class Retirement(Resource, module="immutable-servers", name="Retirement"):
    """Guards the deletion of a generation's fleet."""

    def __init__(
        self, name: str, place: Place, drain: float, fleet: Input[str], opts: ResourceOptions
    ) -> None:
        """Register under the generation's name; `drain` is in seconds, `fleet` the fleet's id."""
        inputs = {**place.to_inputs(), "drain": drain, "fleet": fleet}
        super().__init__(RetirementProvider(), name, inputs, (), opts)
