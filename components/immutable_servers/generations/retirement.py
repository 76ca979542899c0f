"""`Retirement <generation>`: guards the deletion of a generation that is no longer declared.

It depends on the fleet, so Pulumi deletes it first. The fleet is deleted only when the balancer was
asked, sends it no traffic, and its connections have ended.
"""

from typing import Any

from pulumi import Input, ResourceOptions

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class RetirementProvider(PlacedProvider):
    """Drains on delete, and does nothing before."""

    phase = "retire"
    needs = ("fleet",)

    def _delete(self, site: Site, props: dict[str, Any]) -> None:
        """Refuse while the generation serves, then wait for its connections to end."""
        refuse_if_serving(site.target.balancer.find_weights(site.scope), site.scope)
        site.target.balancer.drain(site.scope, float(props["drain"]), site.say)


class Retirement(PlacedResource, module="immutable-servers", name="Retirement"):
    """Guards the deletion of a generation's fleet."""

    def __init__(
        self, name: str, place: Place, drain: float, fleet: Input[str], opts: ResourceOptions
    ) -> None:
        """Register under the generation's name; `drain` is in seconds, `fleet` the fleet's id."""
        inputs = {"drain": drain, "fleet": fleet}
        super().__init__(RetirementProvider(), name, place, inputs, opts=opts)
