"""How often our code asks DigitalOcean, and what it does when that is too often."""

from dataclasses import replace

import pytest
from azure.core.pipeline.transport import RequestsTransport

from harness.cloud_world import STACK, WEB
from harness.digitalocean.do_world import LAUNCH, World
from immutable_servers.errors import LaunchError

SLOW = "too_many_requests"
OF_A_SERVICE = 8
"""Calls that a look may make for each service."""


def count(world: World, *services: str) -> int:
    """Return how many calls a look at a stack makes, as a run with nothing to do begins."""
    target = world.make_target()
    target.ask_once()
    world.cloud.read_new()
    assert target.ownership.find_owner(STACK) is None
    target.images.list()
    for name in services:
        scope = replace(WEB, service=name)
        for generation, fleet in target.fleets.find(scope).items():
            own = replace(scope, generation=generation)
            assert fleet.whole
            target.fleets.find_servers(own)
            target.balancer.find_members(own)
        target.balancer.find_weights(scope)
        target.refuse_launch(scope, LAUNCH)
    return sum(one["event"] == "api" for one in world.cloud.read_new())


def test_a_further_service_or_generation_costs_little(world: World) -> None:
    """What the stack asks once is shared by its services, and standbys add no call."""
    for service in ("web", "api"):
        scope = replace(WEB, service=service)
        if service != "web":
            world.make_balancer(scope)
        world.make_fleet(replace(scope, generation="11111111"), 2)
    one, two = count(world, "web"), count(world, "web", "api")
    assert 0 < two - one <= OF_A_SERVICE
    world.make_fleet(replace(WEB, generation="22222222"), 2)
    assert count(world, "web", "api") - two <= 1  # its own droplets' tag, to see who is in the pool


def test_pages_are_as_large_as_they_may_be(world: World) -> None:
    """An account with more droplets than a usual page holds is listed by one call."""
    world.make_fleet(replace(WEB, generation="11111111"), 21)
    world.cloud.read_new()
    assert len(world.make_target().api.list("droplets")) == 21
    (call,) = (one for one in world.cloud.read_new() if one["event"] == "api")
    assert "per_page=200" in call["path"]


def test_a_minute_s_limit_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as DigitalOcean says; a change is made again then, once."""
    slept: list[float] = []
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _self, seconds: slept.append(seconds))
    world.cloud.set_fault("tags.create", SLOW, headers={"retry-after": "41"})
    world.cloud.set_fault("tags.list", SLOW, headers={"retry-after": "7"}, times=2)
    api = world.make_target(attempts=3).api
    api.call("tags.create", body={"name": "mine"})
    assert "mine" in [one["name"] for one in api.list("tags")]
    assert slept == [41, 7, 7]


def test_an_hour_s_limit_says_when_it_ends(world: World) -> None:
    """Nobody waits that long: what to do is to run again."""
    headers = {"ratelimit-reset": "1795942800"}
    world.cloud.set_fault("tags.list", SLOW, headers=headers, message="API rate limit exceeded.")
    with pytest.raises(LaunchError, match="slows down") as caught:
        world.make_target().api.list("tags")
    assert "API rate limit exceeded. It allows more calls from 09:00 UTC" in caught.value.facts[0]
    assert "same command again" in caught.value.todo
