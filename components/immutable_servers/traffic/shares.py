"""`Shares <service>`: ends the shares that a killed canary left.

It comes first in a run, since what follows (a bake, a boot, a verification) can take minutes, for
which nobody watches the candidate's share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import ResourceOptions

from immutable_servers.contract.values import ALL
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site


class SharesProvider(PlacedProvider):
    """Has something to do only while the balancer splits the traffic."""

    phase = "traffic"

    def _find_drift(
        self, site: Site, _olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Ask the balancer."""
        return ("live",) if _is_split(site, news) else ()

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Send all traffic back to the generation that served before, if it is split."""
        if _is_split(site, props):
            site.target.balancer.set_traffic(site.scope, {props["live"]: ALL})
            site.say(f"a canary was cut short: all is back at generation {props['live']}")
        return props


def _is_split(site: Site, props: Mapping[str, Any]) -> bool:
    """Return whether more than one generation has traffic, one of which served before."""
    return bool(props["live"]) and len(site.target.balancer.find_weights(site.scope)) > 1


class Shares(PlacedResource, module="immutable-servers", name="Shares"):
    """The service's traffic, undivided."""

    def __init__(self, service: str, place: Place, live: str, opts: ResourceOptions) -> None:
        """Register under the service's name; `live` is who served before, empty for none."""
        super().__init__(SharesProvider(), service, place, {"live": live}, opts=opts)
