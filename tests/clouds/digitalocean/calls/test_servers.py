"""The digitalocean target's servers on an emulated account: fleets, health, trouble, deletion."""

import time
from dataclasses import replace

import pytest

from harness.cloud_world import RECORD, WEB
from harness.digitalocean.do_world import LAUNCH, SOON, World
from immutable_servers import contract
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import Health
from immutable_servers.errors import LedgerError, RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.digitalocean import DoTarget, fleets
from immutable_servers.targets.digitalocean.names import (
    list_whose,
    make_name,
    name_server,
    tag_count,
    tag_generation,
    tag_leaving,
    tag_live,
    tag_window,
)
from immutable_servers.targets.digitalocean.resources import DoFleetProvider

GENERATION = replace(WEB, generation="3f2a9c41")
OTHER = replace(WEB, generation="11111111")
GONE = replace(WEB, generation="00000000")
FIRST, SECOND, THIRD = (name_server(GENERATION, number) for number in (1, 2, 3))


@pytest.fixture
def fleet(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the account with a fleet of two healthy servers, whose window is open."""
    monkeypatch.setattr(contract.fleets, "POLL_SECONDS", 0.05)
    world.make_fleet(GENERATION)
    open_window(world.make_target())
    world.wait_until_healthy(GENERATION)
    return world


def open_window(target: DoTarget) -> None:
    """Let this machine ask the generation's droplets, as a launch does."""
    end = target.fleets.groups.find_window_end(GENERATION)
    tags = [tag_window(GENERATION, end), *list_whose(GENERATION)]
    name, ports = fleets.name_way(GENERATION), (22, LAUNCH.port)
    target.fleets.firewalls.open(name, tags, ["127.0.0.0/8"], *ports)


def find_ids(world: World) -> dict[str, str]:
    """Return the ids of the generation's droplets by name, as the state holds them."""
    return {name: str(one["id"]) for name, one in world.find_droplets(GENERATION).items()}


def test_a_fleet_says_what_it_is(fleet: World) -> None:
    """All is in the tags of its droplets: whose it is, its record, how many it should have."""
    target = fleet.make_target()
    found = target.fleets.find(WEB)["3f2a9c41"]
    window = target.fleets.groups.find_window_end(GENERATION)
    launched = {"window_ends": window, "launched_at": window - LOGIN_WINDOW}
    assert found.record == {**RECORD, "launch": LAUNCH.to_plain(), **launched}
    assert abs(found.record["launched_at"] - time.time()) < 60
    assert (found.servers, found.running, found.whole, found.leaving) == (2, 2, True, False)
    assert found.states == {FIRST: "active", SECOND: "active"}
    assert target.fleets.find(GENERATION) == target.fleets.find(WEB)
    assert target.fleets.find(replace(WEB, service="api")) == {}


def test_a_service_is_asked_once_for_all_generations(fleet: World) -> None:
    """Droplets are listed once, whatever is asked of the service."""
    fleet.make_fleet(OTHER, servers=1)
    target = fleet.make_target()
    target.ask_once()
    fleet.cloud.read_new()
    for scope in (WEB, GENERATION, OTHER):
        assert target.fleets.find(scope).keys() == {"3f2a9c41", "11111111"}
        target.fleets.groups.find_window_end(scope)
        target.fleets.find_instances(scope)
    calls = [one["call"] for one in fleet.cloud.read_new() if one["event"] == "api"]
    assert calls == ["droplets.list"]


def test_a_fleet_that_lacks_a_droplet_is_not_whole(fleet: World) -> None:
    """One that was deleted by hand is missed: nothing makes it again by itself."""
    fleet.call("DELETE", f"droplets/{fleet.find_droplets(GENERATION)[SECOND]['id']}")
    target = fleet.make_target()
    found = target.fleets.find(WEB)["3f2a9c41"]
    assert (found.servers, found.running, found.whole) == (2, 1, False)
    sick = [one for one in target.fleets.find_health(GENERATION) if not one.ok]
    assert [one.detail for one in sick] == [
        "1 of 2 servers exist: DigitalOcean makes none again by itself"
    ]
    assert target.fleets.find_given_up(GENERATION) == {}


def test_a_record_that_cannot_be_read_is_an_error(fleet: World) -> None:
    """Droplets whose record somebody took off are not taken for no fleet."""
    first = fleet.find_droplets(GENERATION)[FIRST]
    for tag in first["tags"]:
        if ":record-" in tag:
            fleet.call("DELETE", f"tags/{tag}")
    with pytest.raises(LedgerError, match=make_name(GENERATION)):
        fleet.make_target().fleets.find(WEB)


def test_each_droplet_is_asked_while_its_window_is_open(fleet: World) -> None:
    """Through the window's firewall; one that ended is sick, and is waited for no more."""
    target = fleet.make_target()
    servers = target.fleets.find_servers(GENERATION)
    droplets = fleet.find_droplets(GENERATION)
    addresses = [droplets[one.name]["networks"]["v4"][0]["ip_address"] for one in servers]
    assert [one.url for one in servers] == [f"http://{one}:8000" for one in addresses]
    health = target.fleets.find_health(GENERATION)
    assert [(one.server, one.ok, one.detail) for one in health] == [
        (FIRST, True, "200"),
        (SECOND, True, "200"),
    ]
    fleet.call("POST", f"droplets/{droplets[FIRST]['id']}/actions", {"type": "power_off"})
    sick = wait_until("a stop", SOON, lambda: find_sick(fleet), every=0.05)
    assert [(one.server, one.detail) for one in sick] == [(FIRST, "it is off")]
    assert target.fleets.find_given_up(GENERATION) == {FIRST: "it is off"}
    said: list[str] = []
    assert target.fleets.wait_until_launched(GENERATION, 3600, said.append) == 1
    assert said[0] == f"{FIRST} does not serve: it is off"


def find_sick(world: World) -> list[Health]:
    """Return the generation's servers that are not healthy."""
    return [one for one in world.make_target().fleets.find_health(GENERATION) if not one.ok]


def test_a_sealed_fleet_is_asked_through_its_balancer(fleet: World) -> None:
    """No firewall lets anybody else in: whoever serves is as well as the service's address."""
    target = fleet.make_target()
    target.access.remove_way(fleets.name_way(GENERATION))
    assert [one.detail for one in target.fleets.find_health(GENERATION)] == [
        "it runs, and no pool has it yet"
    ] * 2
    target.balancer.set_traffic(WEB, {"3f2a9c41": 100})
    fleet.wait_until_healthy(GENERATION)
    assert [(one.ok, one.detail) for one in target.fleets.find_health(GENERATION)] == [
        (True, "the pool has it")
    ] * 2
    balancer = fleet.find_balancer()
    wrong = {**balancer, "region": balancer["region"]["slug"], "tag": tag_live(WEB)}
    wrong["health_check"] = {**balancer["health_check"], "port": 1}
    fleet.call("PUT", f"load_balancers/{balancer['id']}", without_answers(wrong))
    sick = wait_until("a sick pool", SOON, lambda: find_sick(fleet), every=0.05)
    assert {one.detail for one in sick} == {"the service's address: 503"}


def without_answers(balancer: dict[str, object]) -> dict[str, object]:
    """Return what a balancer is made of, without what only an answer says."""
    known = ("name", "region", "tag", "forwarding_rules", "health_check")
    return {key: balancer[key] for key in known}


def test_trouble_names_states_and_failed_actions(fleet: World) -> None:
    """DigitalOcean shows no console: what is known are states, actions and the last answer."""
    lines = fleet.make_target().fleets.find_trouble(GENERATION)
    assert lines == [f"{FIRST}: active, 200", f"{SECOND}: active, 200"]
    first = fleet.find_droplets(GENERATION)[FIRST]["id"]
    fleet.call("POST", f"droplets/{first}/actions", {"type": "power_off"})
    fleet.cloud.fail_action("power_on")
    fleet.call("POST", f"droplets/{first}/actions", {"type": "power_on"})
    lines = fleet.make_target().fleets.find_trouble(GENERATION)
    assert lines[0] == f"launch: {FIRST}: the action power_on ended as errored"
    assert lines[1] == f"{FIRST}: off, it is off"


def test_a_wait_ends_with_what_is_wrong(fleet: World) -> None:
    """A fleet that never gets healthy is no error of the launch: it is said and left to checks."""
    said: list[str] = []
    found = fleet.make_target().fleets
    assert found.wait_until_launched(GENERATION, 0.05, said.append) == 2
    assert found.wait_until_launched(GONE, 0.05, said.append) == 0
    assert any("it has no servers" in line for line in said)


def test_waits_share_their_listings(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token has 250 calls a minute: looks within some seconds ask once for each kind."""
    monkeypatch.setattr("immutable_servers.targets.digitalocean.api.LATELY", 60.0)
    target = fleet.make_target()
    fleet.cloud.read_new()
    for _ in range(3):
        target.fleets.find_health(GENERATION)
        target.fleets.find_given_up(GENERATION)
    calls = [one["call"] for one in fleet.cloud.read_new() if one["event"] == "api"]
    assert sorted(calls) == ["droplets.list", "firewalls.list", "loadBalancers.list"]
    fleet.make_fleet(GENERATION, 3, window_ends=0, first=3)
    said: list[str] = []
    target.fleets.wait_until_launched(GENERATION, 0.05, said.append)  # a wait begins afresh
    assert said[-1] == "3 servers serve"


def test_a_fleet_loses_droplets_without_a_gap(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is above the number leaves the pool, is drained, and goes; again, it is done already."""
    target = fleet.make_target()
    target.balancer.set_traffic(WEB, {"3f2a9c41": 100})
    monkeypatch.setattr(fleets, "wait_until", lambda *_args, **_more: None)
    ids, said = find_ids(fleet), list[str]()
    for _ in range(2):
        target.fleets.complete(GENERATION, 1, [ids[FIRST]], said.append)
    assert said == [f"ends {SECOND}"]
    assert fleet.find_droplets(GENERATION).keys() == {FIRST}
    assert fleet.find_balancer()["droplet_ids"] == [int(ids[FIRST])]
    assert fleet.ask() == "web-3f2a9c41"
    found = target.fleets.find(WEB)["3f2a9c41"]
    assert (found.servers, found.whole) == (1, True)
    assert tag_count(GENERATION, 2) not in [one["name"] for one in fleet.find_all("tags")]


def test_a_loss_that_was_killed_is_no_fault(fleet: World) -> None:
    """The smaller number counts while both are there."""
    ids = find_ids(fleet)
    fleet.tag(tag_count(GENERATION, 1), int(ids[FIRST]))
    found = fleet.make_target().fleets.find(WEB)["3f2a9c41"]
    assert (found.servers, found.running, found.whole) == (1, 2, True)


def test_those_that_stay_get_requests_before_the_others_leave(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when only those had them that leave; and without any that stays nothing is done."""
    target, ids = fleet.make_target(), find_ids(fleet)
    fleet.tag(tag_live(WEB), int(ids[SECOND]))
    monkeypatch.setattr(fleets, "wait_until", lambda *_args, **_more: None)
    target.fleets.complete(GENERATION, 1, ["7"], lambda _line: None)
    assert find_ids(fleet) == ids
    target.fleets.complete(GENERATION, 1, [ids[FIRST]], lambda _line: None)
    assert fleet.find_balancer()["droplet_ids"] == [int(ids[FIRST])]


def test_a_twin_is_no_server(fleet: World) -> None:
    """A creation whose answer was lost was made again: the one that nobody declares goes."""
    ids = find_ids(fleet)
    fleet.make_fleet(GENERATION, window_ends=0, first=2)
    assert len(fleet.find_all("droplets")) == 3
    fleet.make_target().fleets.complete(GENERATION, 2, list(ids.values()), lambda _line: None)
    assert find_ids(fleet) == ids


def test_an_added_droplet_gets_requests_once_it_answers(fleet: World) -> None:
    """It boots sealed: a firewall of the service's port alone lets us ask it, and goes again."""
    target = fleet.make_target()
    target.balancer.set_traffic(WEB, {"3f2a9c41": 100})
    end = target.fleets.groups.find_window_end(GENERATION)
    target.access.remove_way(fleets.name_way(GENERATION))
    fleet.call("DELETE", f"tags/immutable:window-ends:{make_name(GENERATION)}:{end}")
    fleet.make_fleet(GENERATION, 3, window_ends=0, first=3)
    ids = list(find_ids(fleet).values())
    props = {
        "settings": target.settings.model_dump(mode="json"),
        "scope": GENERATION.to_plain(),
        "launch": LAUNCH.to_plain(),
        "servers": 3,
        "droplets": ids,
        "balancer": "",
        "window_ends": 0,
    }
    fleet.cloud.read_new()
    result = DoFleetProvider().update("id", props, props)
    assert (result.outs or {})["reference"]["servers"] == 3
    assert sorted(fleet.find_balancer()["droplet_ids"]) == sorted(map(int, ids))
    calls = [one["call"] for one in fleet.cloud.read_new() if one["event"] == "api"]
    order = ("firewalls.create", "tags.assign_resources", "firewalls.delete")
    assert [one for one in calls if one in order][-3:] == [*order]
    ways = [one["name"] for one in fleet.find_all("firewalls")]
    assert ways == [make_name(WEB)]
    assert target.fleets.find(WEB)["3f2a9c41"].servers == 3


def test_a_deletion_leaves_nothing(fleet: World) -> None:
    """Droplets, the window's firewall and all tags go; another generation's stay, and the way."""
    fleet.make_fleet(OTHER, servers=1)
    target = fleet.make_target()
    for _ in range(2):
        target.fleets.delete(GENERATION)
        assert fleet.find_left(GENERATION) == []
    assert len(fleet.find_droplets(OTHER)) == 1
    assert [one["name"] for one in fleet.find_all("firewalls")] == [make_name(WEB)]
    target.fleets.delete(GONE)


def test_what_serves_is_not_deleted(fleet: World) -> None:
    """DigitalOcean would delete a droplet that serves: our code alone refuses."""
    target = fleet.make_target()
    fleet.point(GENERATION)
    with pytest.raises(RetirementError, match="web-3f2a9c41"):
        target.fleets.delete(GENERATION)
    assert len(fleet.find_droplets(GENERATION)) == 2


def test_a_deletion_that_was_killed_goes_on(fleet: World) -> None:
    """A fleet is never used again once its deletion has begun; tags that are left go, too."""
    target = fleet.make_target()
    fleet.cloud.set_fault("droplets.destroy", "server_error", code=500, times=1)
    with pytest.raises(RetirementError):
        target.fleets.delete(GENERATION)
    assert target.fleets.find(WEB)["3f2a9c41"].leaving
    assert tag_leaving(GENERATION) in fleet.find_droplets(GENERATION)[FIRST]["tags"]
    for one in fleet.find_droplets(GENERATION).values():
        fleet.call("DELETE", f"droplets/{one['id']}")
    assert tag_generation(GENERATION) in fleet.find_left(GENERATION)
    target.fleets.delete(GENERATION)
    assert fleet.find_left(GENERATION) == []


def test_somebody_elses_droplets_are_never_met(fleet: World) -> None:
    """Tags are the account's: what only looks like ours by name is none of ours."""
    fleet.make_fleet(replace(GENERATION, stack="prod"), servers=1)
    target = fleet.make_target()
    assert target.fleets.find(WEB).keys() == {"3f2a9c41"}
    target.fleets.delete(GENERATION)
    assert len(fleet.find_droplets(replace(GENERATION, stack="prod"))) == 1
