"""The digitalocean target's balancers, on an emulated account: moved by tag, one for a service."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.error import HTTPError

import pytest

from clouds.shared_tests.traffic import NEW, OLD, Traffic
from harness.cloud_world import WEB
from harness.digitalocean.do_world import ROUTE, SOON, World
from harness.emulated_cloud import find_calls, list_done
from immutable_servers.contract.values import Route, Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.pool import Pace
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.names import tag_live

API = replace(WEB, service="api")
BY_HOST = Route("web", 0, "www.example.com")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, at nodes that check often."""
    monkeypatch.setattr(DoBalancer, "pace", Pace(follow_poll=0.1, sure=0.1))


class TestTraffic(Traffic):
    """A fleet that goes takes its droplets, its firewall and its tags with it."""


def find_changes(world: World) -> Sequence[str]:
    """Return the calls since the last look that changed something."""
    calls = [one["call"] for one in list_done(world.cloud.read_new())]
    return [one for one in calls if one.rpartition(".")[2] not in ("get", "list")]


def test_one_move_never_changes_the_balancer(world: World) -> None:
    """The new ones get the tag, the old ones lose it: an update would write everything."""
    world.make_fleet(OLD)
    world.make_fleet(NEW)
    world.point(OLD)
    world.wait_until_healthy(NEW)
    world.cloud.read_new()
    world.make_target().balancer.set_traffic(WEB, {NEW.generation: 100})
    joins = ["tags.create", "tags.assign_resources"]
    assert find_changes(world) == [*joins, "tags.unassign_resources"]
    world.make_target().balancer.set_traffic(WEB, {NEW.generation: 100})
    assert find_changes(world) == []


def test_droplets_that_are_added_or_go_while_they_serve(world: World) -> None:
    """A new one joins the pool once it answers; one that goes has left the pool before."""
    world.make_fleet(OLD)
    world.point(OLD)
    world.make_fleet(OLD, servers=3, first=3)
    world.wait_until_healthy(OLD)
    fleets = world.make_target(timeout=30).fleets
    before = find_ids(world)
    fleets.lead(OLD)
    assert [*world.find_balancer()["droplet_ids"]] == before
    world.cloud.read_new()
    fleets.lead(OLD)
    assert find_changes(world) == []


def find_ids(world: World) -> list[int]:
    """Return the ids of the old generation's droplets."""
    return sorted(one["id"] for one in world.find_droplets(OLD).values())


@pytest.mark.parametrize(
    ("certificate", "scheme", "port"), [("", "http", 80), ("www", "https", 443)]
)
def test_it_is_asked_by_its_own_address(
    world: World, certificate: str, scheme: str, port: int
) -> None:
    """A user's host name may lead elsewhere, or nowhere yet; a port is that of the route."""
    ip = world.find_balancer()["ip"]
    found = world.make_target(certificate=certificate).balancer
    assert found.find_front(BY_HOST, WEB) == f"{scheme}://{ip}"
    assert found.find_front(Route("web", port), WEB) == f"{scheme}://{ip}"
    assert found.find_front(ROUTE, WEB) == f"{scheme}://{ip}:{ROUTE.port}"
    assert found.find_address(BY_HOST, WEB) == f"{scheme}://www.example.com"
    elsewhere = replace(WEB, stack="none")
    assert found.find_address(Route("web", port), elsewhere) == f"{scheme}://not-yet-there"


def test_a_services_pool_is_its_own(world: World) -> None:
    """Two services have two balancers, and neither tag leads to the other's droplets."""
    world.make_balancer(API, Route("api", 8081))
    for scope in (OLD, replace(OLD, service="api")):
        world.make_fleet(scope, servers=1)
        world.make_target().balancer.set_traffic(scope, {OLD.generation: 100})
    pools = [world.find_balancer(scope)["droplet_ids"] for scope in (WEB, API)]
    assert [len(pool) for pool in pools] == [1, 1]
    assert pools[0] != pools[1]
    assert wait_until("api serves", SOON, lambda: is_serving(world, API), every=0.1)
    assert world.ask(scope=API) == f"api-{OLD.generation}"


def is_serving(world: World, scope: Scope) -> bool:
    """Tell whether a visitor is answered: a node asks a droplet for its health first."""
    try:
        return bool(world.ask(scope=scope))
    except HTTPError:
        return False


def test_what_is_asked_of_the_balancer_is_what_a_preview_may(world: World) -> None:
    """A service with a balancer needs no right to reserved addresses."""
    world.make_fleet(OLD)
    world.cloud.deny("reserved_ip:read", "reserved_ip:update")
    balancer = world.make_target().balancer
    assert balancer.find_weights(WEB) == {}
    balancer.set_traffic(WEB, {OLD.generation: 100})
    assert balancer.find_weights(WEB) == {OLD.generation: 100}
    assert find_calls(world.cloud.read_all(), "reservedIPs.list") == []
    assert tag_live(WEB) in next(iter(world.find_droplets(OLD).values()))["tags"]
