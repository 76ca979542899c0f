"""`Shares <service>`: ends the shares that a run left which was killed in a canary.

It comes first in a run, since what follows (a bake, a boot, a verification) can take minutes, for
which nobody watches the candidate's share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import ResourceOptions, dynamic

from immutable_servers.contract.values import ALL
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import Place, read_place


class SharesProvider(Provider):
    """Has something to do only while the balancer splits the traffic."""

    def find_drift(self, _olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Ask the balancer."""
        return ("live",) if is_split(news) else ()

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """End what there is."""
        _end_shares(props)
        return dynamic.CreateResult(read_place(props).scope.name, props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """End what there is."""
        _end_shares(news)
        return dynamic.UpdateResult(news)


def is_split(props: Mapping[str, Any]) -> bool:
    """Tell whether more than one generation has traffic, one of which served before."""
    place = read_place(props)
    return bool(props["live"]) and len(place.load().find_traffic(place.scope)) > 1


def _end_shares(props: Mapping[str, Any]) -> None:
    if is_split(props):
        place = read_place(props)
        place.load().set_traffic(place.scope, {props["live"]: ALL})
        say = start_saying("traffic", place.scope)
        say(f"a canary was cut short: all is back at generation {props['live']}")


class Shares(Resource, module="immutable-servers", name="Shares"):
    """The service's traffic, undivided."""

    def __init__(self, service: str, place: Place, live: str, opts: ResourceOptions) -> None:
        """Register under the service's name; `live` is who served before, empty for none."""
        super().__init__(SharesProvider(), service, {**place.to_inputs(), "live": live}, (), opts)
