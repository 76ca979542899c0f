"""The gcp target's load balancer, on an emulated project: what it points to and how it is moved."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from clouds.shared_tests.traffic import NEW, OLD, Traffic
from harness.checkout import ROOT
from harness.cloud_world import STACK, WEB
from harness.emulated_cloud import list_done
from harness.gcp.gcp_world import PLACE, ROUTE, World
from immutable_servers.contract.values import Route
from immutable_servers.errors import TrafficError
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.balancer import name_closed, name_map
from immutable_servers.targets.gcp.fronts import Front, remove_front
from immutable_servers.targets.gcp.names import make_name
from immutable_servers.targets.gcp.url_maps import find_matcher, set_weights

API = replace(WEB, service="api")
BY_HOST = Route("web", 0, "www.example.com")
SHARED = f"{make_name(STACK)}-hosts"
CHANGES = ("insert", "patch", "update", "delete", "resize", "recreateInstances")


class TestTraffic(Traffic):
    """A fleet that goes takes its parts, its instances and its header route with it."""


def test_before_the_first_generation_nobody_serves(world: World) -> None:
    """A map that refuses all requests points nowhere, and a route rule is no traffic."""
    world.make_backend(OLD)
    balancer = world.make_target().balancer
    assert balancer.add_route(OLD)
    assert balancer.find_weights(WEB) == {}


def test_the_service_without_servers_goes_after_the_last_map(world: World) -> None:
    """Google holds it for used for some time after the map; the engine would not ask again."""
    world.cloud.set_manners(linger=2.0)
    target = world.make_target()
    target.balancer.remove_closed(STACK)
    assert target.api.find("backendServices", named=name_closed(STACK))
    target.balancer.remove_service(WEB, ROUTE, stays=False)
    remove_front(target.api, Front(WEB, ROUTE, ROUTE.port))
    target.balancer.remove_closed(STACK)
    assert target.api.find("backendServices", named=name_closed(STACK)) is None


def test_one_move_is_one_change_of_the_map(world: World) -> None:
    """Moving traffic makes one call that changes anything."""
    world.make_fleet(OLD)
    world.wait_until_healthy(OLD)
    balancer = world.make_target().balancer
    world.cloud.read_new()
    balancer.set_traffic(WEB, {"11111111": 100})
    assert find_changes(world) == ["compute.urlMaps.patch"]


def find_changes(world: World) -> list[str]:
    """Return the calls since the last look that changed something."""
    done = list_done(world.cloud.read_new())
    return [one["call"] for one in done if one["call"].rpartition(".")[2] in CHANGES]


@pytest.mark.parametrize(
    ("settings", "scheme", "port"),
    [({}, "http", 80), ({"certificate": ["www.example.com"]}, "https", 443)],
)
def test_it_is_asked_by_its_own_address(
    world: World, settings: dict[str, Any], scheme: str, port: int
) -> None:
    """A user's host name may lead elsewhere, or nowhere yet; a port is that of the route."""
    ip = world.call("globalAddresses", "get", address=make_name(STACK))["address"]
    found = world.make_target(**settings).balancer
    assert found.find_front(BY_HOST, WEB) == f"{scheme}://{ip}"
    assert found.find_front(Route("web", port), WEB) == f"{scheme}://{ip}"
    assert found.find_front(Route("web", 8080), WEB) == f"{scheme}://{ip}:8080"
    assert found.find_address(BY_HOST, WEB) == f"{scheme}://www.example.com"
    elsewhere = replace(WEB, stack="none")
    assert found.find_address(Route("web", port), elsewhere) == f"{scheme}://not-yet-there"


def test_weights_of_somebody_else_are_an_error(world: World) -> None:
    """A map that somebody pointed elsewhere by hand is not taken for nobody, nor for ours."""
    strange = replace(WEB, project="else", generation="11111111")
    world.make_backend(strange)
    world.make_backend(OLD)
    links = {f"{PLACE}/global/backendServices/{make_name(one)}": 50 for one in (strange, OLD)}
    change_map(world, lambda said: set_weights(said, "web", links, "none"))
    with pytest.raises(TrafficError, match="not ours") as caught:
        world.make_target().balancer.find_weights(WEB)
    assert caught.value.facts == (f"{make_name(strange)} has 50 of 100 parts of the traffic",)


def change_map(world: World, render: Any, name: str = "") -> None:  # noqa: ANN401 - a function of maps
    """Change a URL map as somebody else."""
    said = world.find_map(name)
    body = {**render(said), "fingerprint": said["fingerprint"]}
    world.call("urlMaps", "patch", urlMap=said["name"], body=body)


def test_a_change_between_look_and_patch_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google refuses the old fingerprint: the map is read again, and has both changes then."""
    for scope in (OLD, NEW):
        world.make_backend(scope)
    target = world.make_target()
    original, between = Api.call, [lambda: world.make_target().balancer.add_route(NEW)]

    def call(api: Api, collection: str, method: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the method's own
        if method == "patch" and between:
            between.pop()()
        return original(api, collection, method, **arguments)

    monkeypatch.setattr(Api, "call", call)
    world.cloud.read_new()
    target.balancer.add_route(OLD)
    calls = [one for one in world.cloud.read_new() if one.get("call") == "compute.urlMaps.patch"]
    assert [one["code"] for one in calls] == [200, 412, 200]
    assert not between
    assert target.balancer.find_token(OLD).startswith("web-11111111-")
    assert target.balancer.find_token(NEW).startswith("web-22222222-")


def test_a_change_whose_answer_was_lost_is_made_once(world: World) -> None:
    """The same call again is refused for its old fingerprint; the map says that it is done."""
    world.make_backend(OLD)
    balancer = world.make_target(attempts=3).balancer
    world.cloud.lose_answers("compute.urlMaps.patch")
    token = balancer.add_route(OLD)
    assert balancer.find_token(OLD) == token
    matcher = find_matcher(world.find_map(), "web") or {}
    assert len(matcher["routeRules"]) == 1


MOVER = """\
import sys
from dataclasses import replace
from harness.cloud_world import WEB
from harness.gcp.gcp_world import SETTINGS
from immutable_servers.targets.gcp import GcpTarget

scope = replace(WEB, service=sys.argv[1])
balancer = GcpTarget({**SETTINGS, "attempts": 3}).balancer
for number in range(6):
    balancer._point(scope, {f"{number % 2 + 1}" * 8: 100})
"""


def test_two_processes_change_a_map_of_two_services_at_once(world: World) -> None:
    """Each ends with its own service as it wanted it: nobody undoes what the other has done."""
    routes = {"web": BY_HOST, "api": Route("api", 0, "api.example.com")}
    world.make_map(BY_HOST)
    balancer = world.make_target().balancer
    for service, route in routes.items():
        scope = replace(WEB, service=service)
        balancer.add_service(scope, route)
        for generation in ("11111111", "22222222"):
            world.make_backend(replace(scope, generation=generation))
    world.cloud.set_manners(operation=0.2, late_lists=0.05)
    path = os.pathsep.join(str(ROOT / folder) for folder in ("components", "tests"))
    movers = [
        subprocess.Popen(
            [sys.executable, "-c", MOVER, service], env={**os.environ, "PYTHONPATH": path}
        )
        for service in routes
    ]
    assert [mover.wait(timeout=60) for mover in movers] == [0, 0]
    for service in routes:
        assert balancer.find_weights(replace(WEB, service=service)) == {"22222222": 100}
    refused = {one.get("reason") for one in world.cloud.read_all()}
    assert refused & {"conditionNotMet", "resourceNotReady"}, "they never met"


def test_services_by_host_name_share_a_map(world: World) -> None:
    """Each is pointed by its own path matcher, and only by that."""
    world.make_map(BY_HOST)
    balancer = world.make_target().balancer
    balancer.add_service(API, Route("api", 0, "api.example.com"))
    world.make_backend(replace(API, generation="11111111"))
    assert balancer.find_weights(API) == {}
    balancer._point(API, {"11111111": 100})
    assert balancer.find_weights(API) == {"11111111": 100}
    assert balancer.find_weights(WEB) == {}
    with pytest.raises(TrafficError, match="A host is in more than one host rule"):
        balancer.add_service(WEB, Route("web", 0, "api.example.com"))


def test_a_service_gets_another_route(world: World) -> None:
    """The new one leads where the old one does, header routes and all, before that one goes."""
    world.make_backend(OLD)
    world.make_map(BY_HOST)
    balancer = world.make_target().balancer
    token = balancer.add_route(OLD)
    balancer._point(WEB, {"11111111": 100})
    balancer.add_service(WEB, BY_HOST)
    matchers = [find_matcher(world.find_map(name), "web") for name in (make_name(WEB), SHARED)]
    assert matchers[0] == matchers[1]
    assert balancer.find_weights(WEB) == {"11111111": 100}
    balancer.remove_service(WEB, ROUTE, stays=True)
    assert find_matcher(world.find_map(), "web") is None
    assert "hostRules" not in world.find_map()
    assert (balancer.find_weights(WEB), balancer.find_token(OLD)) == ({"11111111": 100}, token)
    balancer.remove_service(WEB, BY_HOST, stays=True)  # its last one
    assert balancer.find_weights(WEB) == {"11111111": 100}


def test_both_routes_of_a_service_are_moved(world: World) -> None:
    """While its route changes all of its pointers lead to the same generation."""
    for scope in (OLD, NEW):
        world.make_backend(scope)
    world.make_map(BY_HOST)
    balancer = world.make_target().balancer
    balancer._point(WEB, {"11111111": 100})
    balancer.add_service(WEB, BY_HOST)
    balancer._point(WEB, {"22222222": 100})
    assert balancer.find_weights(WEB) == {"22222222": 100}
    change_map(world, lambda said: set_weights(said, "web", {}, link(name_closed(STACK))), SHARED)
    assert balancer.find_weights(WEB) == {"22222222": 50}  # no more than a half is certain


def link(backend: str) -> str:
    """Return a backend service's link."""
    return f"{PLACE}/global/backendServices/{backend}"


def test_a_service_that_goes_has_no_traffic_first(world: World) -> None:
    """Its way to servers stays while somebody takes it; then nothing of it is left in the map."""
    world.make_backend(OLD)
    balancer = world.make_target().balancer
    balancer._point(WEB, {"11111111": 100})
    with pytest.raises(TrafficError, match="traffic still takes it"):
        balancer.remove_service(WEB, ROUTE, stays=False)
    balancer._point(WEB, {})
    for _ in range(2):
        balancer.remove_service(WEB, ROUTE, stays=False)
    assert "pathMatchers" not in world.find_map()
    with pytest.raises(TrafficError, match="no pointer for it"):
        balancer._point(WEB, {"11111111": 100})


def test_nobody_guesses_the_way_to_a_candidate(world: World) -> None:
    """The header's value is random, and the same for whoever asks again, until the route goes."""
    world.make_backend(OLD)
    target = world.make_target()
    first = target.balancer.add_route(OLD)
    assert first == target.balancer.add_route(OLD) == world.make_target().balancer.find_token(OLD)
    assert len(first.removeprefix("web-11111111-")) == 16
    target.balancer.remove_route(OLD)
    assert target.balancer.find_token(OLD) == ""
    assert target.balancer.add_route(OLD) != first


def test_a_drain_leaves_what_goes_on_its_time(world: World) -> None:
    """Nobody says what is open, so the time is waited out; the fleet stays as it is."""
    said: list[str] = []
    world.make_target().balancer.drain(OLD, 0.1, said.append)
    assert said == ["waited for 0 s"]


def test_a_map_has_the_service_s_name_or_the_stack_s() -> None:
    """A service with a port has a map of its own."""
    assert name_map(OLD, ROUTE) == make_name(WEB)
    assert name_map(OLD, BY_HOST) == SHARED
