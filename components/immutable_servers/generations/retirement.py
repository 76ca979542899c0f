"""`Retirement <generation>`: guards the deletion of a generation that is no longer declared.

It depends on the fleet, so Pulumi deletes it first. The fleet is deleted only when the balancer was
asked, sends it no traffic, also in what it answers, and its connections have ended.
"""

from typing import Any

from pulumi import Input, ResourceOptions

from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.resources.declared import find_declared
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site
from immutable_servers.traffic.settling import wait_until_left


class RetirementProvider(PlacedProvider):
    """Drains on delete, and does nothing before."""

    phase = "retire"
    needs = ("fleet",)

    def _delete(self, site: Site, props: dict[str, Any]) -> None:
        """Refuse while the generation serves, then wait for its connections to end.

        A generation that the run declares goes on: another resource guards it from now on.
        """
        scope, declared = site.scope, find_declared()
        if f"{scope.service}-{scope.generation}" in declared.generations:
            return
        refuse_if_serving(site.target.balancer.find_weights(site.scope), site.scope)
        wait_until_left(site.place, declared.services.get(scope.service), site.say)
        site.target.balancer.drain(site.scope, float(props["drain"]), site.say)


class Retirement(PlacedResource, module="immutable-servers", name="Retirement"):
    """Guards the deletion of a generation's fleet."""

    def __init__(
        self, name: str, place: Place, drain: float, fleet: Input[str], opts: ResourceOptions
    ) -> None:
        """Register under the generation's name; `drain` is in seconds, `fleet` the fleet's id."""
        inputs = {"drain": drain, "fleet": fleet}
        super().__init__(RetirementProvider(), name, place, inputs, opts=opts)
