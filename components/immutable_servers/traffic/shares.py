"""`Shares <service>`: ends the shares that a killed canary left.

It comes first in a run, since what follows (a bake, a boot, a verification) can take minutes, for
which nobody watches the candidate's share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import ResourceOptions

from immutable_servers.contract.location import make_moved
from immutable_servers.contract.values import ALL
from immutable_servers.targets.place import Place, read_place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class SharesProvider(PlacedProvider):
    """Has something to do only while the balancer splits the traffic."""

    phase = "traffic"

    def _find_drift(
        self, site: Site, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Ask the balancer, once it is the one that the last run asked."""
        refuse_left_servers(site, olds)
        return ("live",) if _is_split(site, news) else ()

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Send all traffic back to the generation that served before, if it is split."""
        if _is_split(site, props):
            site.target.balancer.set_traffic(site.scope, {props["live"]: ALL})
            site.say(f"a move was cut short: all is back at generation {props['live']}")
        return props


def refuse_left_servers(site: Site, olds: Mapping[str, Any]) -> None:
    """Refuse to leave servers of the service at the place of the last run.

    The ledger says where they are, once a run has ended. A first run that failed or was killed has
    none, and its state still names its place.

    Raises:
        SettingsError: There are some, and this run is at another place.
        ImmutableError: That place cannot be asked.
    """
    before = read_place(olds)
    if before == site.place:
        return
    left = before.load()
    there = left.find_location(ask=False).of_stack(before.scope)
    here = site.target.find_location(ask=False).of_stack(site.scope)
    if not there.is_same(here) and left.fleets.find(before.scope):
        raise make_moved(site.scope.stack, there, here, site.scope.service)


def _is_split(site: Site, props: Mapping[str, Any]) -> bool:
    """Return whether more than one generation has traffic, one of which served before."""
    return bool(props["live"]) and len(site.target.balancer.find_weights(site.scope)) > 1


class Shares(PlacedResource, module="immutable-servers", name="Shares"):
    """The service's traffic, undivided."""

    def __init__(self, service: str, place: Place, live: str, opts: ResourceOptions) -> None:
        """Register under the service's name; `live` is who served before, empty for none."""
        super().__init__(SharesProvider(), service, place, {"live": live}, opts=opts)
