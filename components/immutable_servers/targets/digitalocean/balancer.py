"""Moves traffic between generations by the live tag, and reads whose droplets have it.

A service's load balancer takes the droplets that have the service's live tag. It knows no weights,
checks no droplet outside of its pool, and follows the tag late. So new droplets join the old ones,
and those leave once the address was answered with both in the pool. A service may do without a
balancer: then its reserved address is assigned in place of the tag.
https://docs.digitalocean.com/products/networking/load-balancers/details/limits/
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from immutable_servers.contract.values import ALL, Answers, Member, Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.cloud.balancer import PORTS, CloudBalancer, make_nowhere
from immutable_servers.targets.cloud.pool import Pace, find_failure
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.digitalocean.api import Api, Thing
from immutable_servers.targets.digitalocean.droplets import list_active
from immutable_servers.targets.digitalocean.names import (
    ACTIVE,
    find_generation,
    make_name,
    tag_generation,
    tag_live,
)
from immutable_servers.targets.digitalocean.pool import TagPool
from immutable_servers.targets.digitalocean.reserved import ReservedIp, find_reserved, list_holders


class DoBalancer(CloudBalancer):
    """The load balancers or reserved addresses of a stack, one for each service."""

    pointed = TagPool.pointed
    settle = 20.0
    shows_within = 60.0
    pace: Pace = Pace()

    def __init__(self, api: Api) -> None:
        super().__init__(api.settings.protocol, api.settings.host_port)
        self.api = api.raising(TrafficError)

    def render_address(self, route: Route, name: str) -> str:
        """Return a route's URL; a server that is reached without a balancer speaks HTTP."""
        if not route.reserved_ip:
            return super().render_address(route, name)
        end = "" if route.port == PORTS["http"] else f":{route.port}"
        return f"http://{name or 'not-yet-there'}{end}"

    def _find_name(self, scope: Scope) -> str:
        pool = self._find_pool(scope)
        return str(pool.found.get("ip") or "") if pool else ""

    def _find_pool(self, scope: Scope, *, lately: bool = False) -> TagPool | ReservedIp | None:
        """Return what leads to a service, for a move to a generation; who looks often shares it."""
        name = make_name(of_service(scope))
        if found := self.api.find_named("load_balancers", name, lately=lately):
            return TagPool(self.api, scope, found)
        found = find_reserved(self.api, scope)
        return ReservedIp(self.api, scope, found) if found else None

    def _find_generation(self, scope: Scope, name: str) -> str:
        return find_generation(scope, [name])

    def _read_pointers(self, scope: Scope) -> Sequence[Mapping[str, int]]:
        """Count the droplets that are served by generation; a stranger goes by its own name."""
        service, counted = of_service(scope), Counter[str]()
        live = self._list(tag_live(service))
        for one in live or list_holders(find_reserved(self.api, service)):
            generation = find_generation(service, one["tags"])
            ours = tag_generation(replace(service, generation=generation))
            counted[ours if generation else one["name"]] += 1
        return [counted]

    def _list(self, tag: str) -> Sequence[Thing]:
        return self.api.list("droplets", tag_name=tag)

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Say of a generation's droplets whether the pool has them, or could have.

        One without the live tag is in no pool, so no balancer has checked it: it is up as long as
        it runs. That it answers is asked before a move, and through the balancer on the way.
        """
        return self.describe_members(scope, self._list(tag_generation(scope)), lately=False)

    def describe_members(
        self, scope: Scope, fleet: Sequence[Thing], *, lately: bool = True
    ) -> Mapping[str, Member]:
        """Say the same of droplets that were found; who looks often shares what others see."""
        pool = self._find_pool(scope, lately=lately)
        return {one["name"]: _describe(one, pool) for one in fleet}

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Return nothing: no balancer counts by generation."""
        del scope
        return {}

    def _count_open(self, scope: Scope) -> None:
        """Return nothing: DigitalOcean does not say what is under way on a droplet that left."""
        del scope

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        if any(weight != ALL for weight in weights.values()):
            raise TrafficError(
                f"Traffic of {scope.service} cannot be shared",
                facts=[f"asked for {dict(weights)}; a balancer of DigitalOcean knows no weights"],
                todo="Take `canary` out of the service's settings, then run ./immutable up.",
            )
        self.api.asked.stop()
        scope = replace(scope, generation=next(iter(weights), ""))
        new = self._list(tag_generation(scope)) if weights else []
        if weights and not list_active(new):
            self._refuse_without_server(scope)
        self.keep(scope, new)

    def keep(self, scope: Scope, droplets: Sequence[Thing]) -> None:
        """Have these droplets of a generation be those that its service's address leads to.

        Raises:
            TrafficError: There is no pool, it does not follow, or the address is answered badly.
        """
        self.api.asked.stop()
        pool = self._find_pool(scope)
        if pool is None:
            raise make_nowhere(scope.service)
        pool.move(self.pace, droplets)

    def find_failure(self, scope: Scope) -> str:
        """Return what a visitor of a service's balancer has now in place of an answer, if so."""
        pool = self._find_pool(scope)
        return find_failure(pool.ask()) if isinstance(pool, TagPool) else ""


def _describe(droplet: Thing, pool: TagPool | ReservedIp | None) -> Member:
    """Return a droplet as a member of its service's pool, now or after a move."""
    if droplet["status"] != ACTIVE:
        return Member(up=False, detail=f"it is {droplet['status']}")
    if pool is None:
        return Member(up=False, detail="its service has no load balancer")
    return pool.describe(droplet)
