"""The gcp target's servers on an emulated project: fleets, health, trouble, seal and deletion."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.cloud_world import RECORD, WEB
from harness.gcp.cloud import REGION, ZONES
from harness.gcp.gcp_world import PLACE, SOON, World
from immutable_servers import contract
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.errors import LedgerError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.gcp import groups
from immutable_servers.targets.gcp.groups import GROUPS, Groups
from immutable_servers.targets.gcp.names import make_name
from immutable_servers.targets.gcp.template import WINDOW, read_metadata, read_window

GENERATION = replace(WEB, generation="3f2a9c41")
GONE = replace(WEB, generation="00000000")
NAME = make_name(GENERATION)
CONSOLE = """\
[    9.123456] systemd[1]: Started ssh.service.
[   10.000000] app[400]: Traceback (most recent call last):
[   10.100000] app[400]: ModuleNotFoundError: No module named 'shop'
"""


@pytest.fixture
def fleet(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the project with a fleet of two healthy servers, whose window is open."""
    monkeypatch.setattr(contract.fleets, "POLL_SECONDS", 0.05)
    world.make_fleet(GENERATION)
    world.wait_until_healthy(GENERATION)
    return world


def find_group(world: World) -> dict[str, Any]:
    """Return the generation's group as Google has it."""
    return world.call(GROUPS, "get", region=REGION, instanceGroupManager=NAME)


def find_machines(world: World) -> Mapping[str, Any]:
    """Return the generation's instances as Google has them, by name."""
    places = world.call("instances", "aggregatedList")["items"].values()
    there = [one for place in places for one in place.get("instances", ())]
    return {one["name"]: one for one in there if one["name"].startswith(f"{NAME}-")}


def find_zone(instance: Mapping[str, Any]) -> str:
    """Return an instance's zone."""
    return str(instance["zone"].rpartition("/")[2])


def test_a_fleet_says_what_it_is(fleet: World) -> None:
    """The record is the template's, with the window of the group; counts are the group's."""
    target = fleet.make_target()
    found = target.fleets.find(WEB)["3f2a9c41"]
    window = target.fleets.groups.find_window_end(GENERATION)
    launched = {"window_ends": window, "launched_at": window - LOGIN_WINDOW}
    assert found.record == {**RECORD, **launched}
    assert abs(found.record["launched_at"] - time.time()) < 60
    assert (found.servers, found.running, found.whole, found.leaving) == (2, 2, True, False)
    assert target.fleets.find(GENERATION) == target.fleets.find(WEB)
    assert target.fleets.find(replace(WEB, service="api")) == {}


def test_a_stack_is_asked_once_for_all_services(fleet: World) -> None:
    """Groups, templates and maps are listed once, whatever is asked; a change forgets them."""
    target = fleet.make_target()
    target.ask_once()
    fleet.cloud.read_new()
    for scope in (WEB, replace(WEB, service="api"), GENERATION, replace(WEB, service="none")):
        target.fleets.find(scope)
        target.balancer.find_weights(scope)
    calls = [one["call"] for one in fleet.cloud.read_new() if one["event"] == "api"]
    assert sorted(calls) == [
        "compute.instanceTemplates.list",
        "compute.regionInstanceGroupManagers.list",
        "compute.urlMaps.list",
    ]
    target.balancer.remove_route(GENERATION)
    assert target.balancer.find_token(GENERATION) == ""


def test_a_record_that_cannot_be_read_is_an_error(fleet: World) -> None:
    """A group that somebody gave another template is not taken for none."""
    other = {"instanceTemplate": f"projects/emulated-project/global/instanceTemplates/{NAME}-x"}
    template = fleet.call("instanceTemplates", "get", instanceTemplate=NAME)
    words = {**template["properties"], "metadata": {"items": []}}
    fleet.insert("instanceTemplates", {"name": f"{NAME}-x", "properties": words})
    body = {**other, "fingerprint": find_group(fleet)["fingerprint"]}
    fleet.call(GROUPS, "patch", region=REGION, instanceGroupManager=NAME, body=body)
    for scope in (WEB, GENERATION):
        with pytest.raises(LedgerError, match=f"of the group {NAME} cannot be read") as caught:
            fleet.make_target().fleets.find(scope)
        assert f"{NAME}-x" in caught.value.facts[0]


def test_health_is_the_balancers(fleet: World) -> None:
    """Every server of the group is asked; what stops to answer is sick, and what ended too."""
    target = fleet.make_target()
    health = target.fleets.find_health(GENERATION)
    servers = target.fleets.find_servers(GENERATION)
    assert [(one.ok, one.serving, one.detail) for one in health] == [(True, True, "healthy")] * 2
    assert [one.server for one in health] == [one.name for one in servers]
    instances = sorted(find_machines(fleet).values(), key=lambda one: str(one["name"]))
    ips = [one["networkInterfaces"][0]["networkIP"] for one in instances]
    assert [one.url for one in servers] == [f"http://{ip}:8000" for ip in ips]
    first = instances[0]
    fleet.call("instances", "stop", zone=find_zone(first), instance=first["name"])
    sick = wait_until("a stop", SOON, lambda: find_sick(fleet), every=0.05)
    assert [(one.server, one.ok) for one in sick] == [(servers[0].name, False)]
    assert "it is TERMINATED" in sick[0].detail


def find_sick(world: World) -> list[contract.values.Health]:
    """Return the generation's servers that are not healthy."""
    return [one for one in world.make_target().fleets.find_health(GENERATION) if not one.ok]


def test_a_stranger_in_the_backend_service_is_said(fleet: World) -> None:
    """A group that somebody added to it by hand gets requests, so its servers are no server's."""
    other = replace(WEB, generation="11111111")
    fleet.make_fleet(other, servers=1)
    fleet.wait_until_healthy(other)
    service = fleet.call("backendServices", "get", backendService=NAME)
    strange = fleet.call("backendServices", "get", backendService=make_name(other))["backends"]
    body = {"backends": [*service["backends"], *strange], "fingerprint": service["fingerprint"]}
    fleet.call("backendServices", "patch", backendService=NAME, body=body)
    sick = wait_until("health", SOON, lambda: find_sick(fleet), every=0.05)
    assert [one.server.startswith(make_name(other)) for one in sick] == [True]
    assert "the fleet does not" in sick[0].detail


def test_a_wait_ends_with_what_is_wrong(fleet: World) -> None:
    """A fleet that never gets healthy is no error of the launch: it is said and left to checks."""
    said: list[str] = []
    fleets = fleet.make_target().fleets
    assert fleets.wait_until_launched(GENERATION, 0.05, said.append) == 2
    assert fleets.wait_until_launched(GONE, 0.05, said.append) == 0
    assert any("it has no servers" in line for line in said)


def test_a_zone_without_room_is_the_reason(world: World) -> None:
    """Google tries again for ever: its own words and what to do are said with what is missing."""
    zones = {f"{REGION}-{letter}": "ZONE_RESOURCE_POOL_EXHAUSTED" for letter in "abc"}
    world.cloud.set_manners(no_room=zones)
    world.make_fleet(GENERATION, servers=1)
    fleets = world.make_target().fleets
    groups = fleets.groups
    assert wait_until("an error", SOON, lambda: groups.explain_launches(GENERATION), every=0.05)
    found = fleets.find(WEB)["3f2a9c41"]
    assert (found.whole, found.running, found.servers) == (False, 0, 1)
    (health,) = fleets.find_health(GENERATION)
    assert not health.ok
    (line, *_) = fleets.find_trouble(GENERATION)
    assert line.startswith("launch: Google has no room for such a server now")
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in line
    assert "another size" in line


def test_a_quota_is_the_reason(world: World) -> None:
    """A fleet of which a part is there says why the rest is not."""
    world.cloud.fail_machines("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 2.0", times=1000)
    world.make_fleet(GENERATION, servers=1)
    groups = world.make_target().fleets.groups
    said = wait_until("a quota", SOON, lambda: groups.explain_launches(GENERATION), every=0.05)
    assert "quota of the Google Cloud project is used up" in said[0]
    assert "Limit: 2.0" in said[0]
    assert groups.explain_launches(GONE) == []


FULL = dict.fromkeys(ZONES, "ZONE_RESOURCE_POOL_EXHAUSTED")


def find_given_up(world: World) -> Mapping[str, str]:
    """Return why servers of the generation will never be there."""
    return world.make_target().fleets.find_given_up(GENERATION)


def test_a_group_that_every_zone_refuses_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch ends long before its deadline, with Google's reason and what to do."""
    monkeypatch.setattr(contract.fleets, "POLL_SECONDS", 0.05)
    world.cloud.set_manners(no_room=FULL)
    world.make_fleet(GENERATION, servers=2)
    said: list[str] = []
    assert world.make_target().fleets.wait_until_launched(GENERATION, 3600, said.append) == 0
    given_up = find_given_up(world)
    assert len(given_up) == 2
    for server, why in given_up.items():
        assert "no room" in why
        assert "another size" in why
        assert any(line.startswith(f"{server} does not serve: Google has no") for line in said)


def test_a_group_that_gets_machines_elsewhere_is_waited_for(world: World) -> None:
    """Two zones refuse again and again; the third one has room for all, if not at once."""
    full = {zone: FULL[zone] for zone in ZONES[:2]}
    world.cloud.set_manners(no_room=full, boot=0.5)
    world.make_fleet(GENERATION, servers=3)
    fleets, seen = world.make_target().fleets, set[str]()

    def are_healthy() -> bool:
        seen.update(find_given_up(world).values())
        health = fleets.find_health(GENERATION)
        return len(health) == 3 and all(one.ok for one in health)

    assert wait_until("all servers", SOON, are_healthy, every=0.02)
    refused = fleets.groups.explain_launches(GENERATION)
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in refused[0]
    assert seen == set()


def test_a_fleet_that_cannot_grow_is_told_which_servers_lack(fleet: World) -> None:
    """Zones gave what they had, and each refuses the rest: what is there is not given up."""
    before = {one.name for one in fleet.make_target().fleets.find_servers(GENERATION)}
    fleet.cloud.set_manners(no_room=FULL)
    fleet.call(GROUPS, "resize", region=REGION, instanceGroupManager=NAME, size=3)
    given_up = wait_until("the end", SOON, lambda: find_given_up(fleet), every=0.05)
    assert len(given_up) == 1
    assert before.isdisjoint(given_up)


@pytest.mark.parametrize("code", ["QUOTA_EXCEEDED", "INVALID_FIELD_VALUE", "PERMISSIONS_ERROR"])
def test_what_only_a_person_ends_is_given_up_at_once(world: World, code: str) -> None:
    """One such failure is enough: Google would try for ever."""
    world.cloud.fail_machines(code, "as it is", times=1000)
    world.make_fleet(GENERATION, servers=1)
    given_up = wait_until("the end", SOON, lambda: find_given_up(world), every=0.05)
    assert [f"{code}: as it is" in why for why in given_up.values()] == [True]


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "RATE_LIMIT_EXCEEDED", "RESOURCE_NOT_READY"])
def test_what_passes_is_waited_for(world: World, code: str) -> None:
    """However often a group meets it."""
    world.cloud.fail_machines(code, "for now", times=1000)
    world.make_fleet(GENERATION, servers=1)
    groups = world.make_target().fleets.groups
    wait_until("failures", SOON, lambda: count_failures(world) > 2, every=0.05)
    assert code in groups.explain_launches(GENERATION)[0]
    assert find_given_up(world) == {}


def count_failures(world: World) -> int:
    """Return how often the group has met something."""
    errors = world.call(GROUPS, "listErrors", region=REGION, instanceGroupManager=NAME)
    return len(errors.get("items", ()))


def test_an_account_that_was_just_made_may_not_be_known_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not found is given up once it has not been found for long enough."""
    world.make_fleet(GENERATION, servers=0)
    account = world.make_target().settings.find_account(GENERATION)
    accounts = world.cloud.client("iam").projects().serviceAccounts()
    accounts.delete(name=f"{PLACE}/serviceAccounts/{account}").execute()
    fleets = world.make_target().fleets
    world.call(GROUPS, "resize", region=REGION, instanceGroupManager=NAME, size=1)
    wait_until("failures", SOON, lambda: count_failures(world) > 2, every=0.05)
    assert fleets.find_given_up(GENERATION) == {}
    monkeypatch.setattr(groups, "SHOWS_AFTER", 0.1)
    given_up = wait_until("the end", SOON, lambda: find_given_up(world), every=0.05)
    assert [account in why for why in given_up.values()] == [True]


def test_an_old_failure_gives_nothing_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have raised the quota since: the group tries again by itself."""
    world.cloud.fail_machines("QUOTA_EXCEEDED", "as it was", times=1000)
    world.make_fleet(GENERATION, servers=1)
    assert wait_until("the end", SOON, lambda: find_given_up(world), every=0.05)
    monkeypatch.setattr(groups, "OUTDATED", 0.0)
    assert find_given_up(world) == {}


def test_trouble_names_state_and_console(fleet: World) -> None:
    """What is asked when servers do not serve: machines, and what their units printed last."""
    for one in find_machines(fleet).values():
        fleet.cloud.write_console(one["id"], CONSOLE)
    lines = fleet.make_target().fleets.find_trouble(GENERATION)
    assert len([line for line in lines if line.endswith(": RUNNING, healthy")]) == 2
    assert len([line for line in lines if "No module named 'shop'" in line]) == 2
    fleet.cloud.set_fault("compute.instances.getSerialPortOutput", "forbidden", times=9, code=403)
    lines = fleet.make_target().fleets.find_trouble(GENERATION)
    assert len([line for line in lines if "console could not be read" in line]) == 2


def test_the_seal_is_one_change_of_the_group(fleet: World) -> None:
    """Machines that healing makes later boot sealed, also in the place of one that was open."""
    groups = fleet.make_target().fleets.groups
    assert groups.find_window_end(GENERATION) > time.time()
    fleet.cloud.read_new()
    for _ in range(2):
        groups.seal(GENERATION)
    patches = [one for one in fleet.cloud.read_new() if one.get("call", "").endswith(".patch")]
    assert len(patches) == 1
    assert groups.find_window_end(GENERATION) == 0
    assert fleet.make_target().fleets.find(WEB)["3f2a9c41"].record["window_ends"] > time.time()
    before = find_machines(fleet)
    assert all(read_window(read_metadata(one)) > time.time() for one in before.values())
    (first, second) = sorted(before)
    fleet.call("instances", "delete", zone=find_zone(before[first]), instance=first)
    again = wait_until("a repair", SOON, lambda: find_again(fleet, before, first), every=0.05)
    assert read_metadata(again)[WINDOW] == ""
    assert read_window(read_metadata(find_machines(fleet)[second])) > time.time()


def find_again(world: World, before: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the machine that runs in the place of another one of its name; empty without."""
    now = find_machines(world).get(name, {})
    is_new = now.get("id") != before[name]["id"] and now.get("status") == "RUNNING"
    return dict(now) if is_new else {}


def test_a_late_machine_is_made_again_sealed(fleet: World) -> None:
    """It has its name, and the fleet stays as large as it was."""
    groups = fleet.make_target().fleets.groups
    before = find_machines(fleet)
    (first, second) = sorted(before)
    groups.seal(GENERATION)
    machines = groups.find_machines(GENERATION)
    groups.recreate(GENERATION, [])
    groups.recreate(GENERATION, [machines[first]["instance"]])
    groups.recreate(GONE, [machines[first]["instance"]])
    again = wait_until("a machine", SOON, lambda: find_again(fleet, before, first), every=0.05)
    assert read_metadata(again)[WINDOW] == ""
    assert find_machines(fleet)[second]["id"] == before[second]["id"]
    assert find_group(fleet)["targetSize"] == 2


@pytest.mark.parametrize("method", ["seal", "empty", "explain_launches", "find_machines", "find"])
def test_a_group_that_is_gone_is_no_error(world: World, method: str) -> None:
    """Whoever repeats what a killed run began finds nothing to do."""
    groups = Groups(world.make_target().api)
    assert not getattr(groups, method)(GONE)
    assert groups.find_window_end(GONE) == 0
    assert groups.find_all(GONE) == []


STEPS = ("backendServices", GROUPS, "instanceTemplates", "healthChecks", "firewalls")
"""What is deleted, in this order."""


@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_that_failed_half_way_is_finished(fleet: World, step: str) -> None:
    """Wherever it stopped: the fleet is never used again, and the next deletion ends it."""
    target = fleet.make_target()
    fleet.cloud.set_fault(f"compute.{step}.delete", "forbidden", code=403, message="a fault")
    with pytest.raises(Exception, match="a fault"):
        target.fleets.delete(GENERATION)
    left = target.fleets.find(WEB)
    assert all(one.leaving and not one.whole for one in left.values())
    assert bool(left) == (STEPS.index(step) <= STEPS.index(GROUPS))
    target.fleets.delete(GENERATION)
    assert target.fleets.find(WEB) == {}
    for kind in STEPS:
        where = {"region": REGION} if kind == GROUPS else {}
        found = fleet.call(kind, "list", **where).get("items", ())
        assert [one["name"] for one in found if one["name"].startswith(NAME)] == []


def test_a_rule_of_somebody_else_stays(fleet: World) -> None:
    """A name that begins as a generation's proves nothing: ours have its words, too."""
    network = f"{PLACE}/global/networks/default"
    body = {"name": f"{NAME}-office", "network": network, "allowed": [{"IPProtocol": "icmp"}]}
    fleet.insert("firewalls", {**body, "description": "of the office"})
    fleet.make_target().fleets.delete(GENERATION)
    rules = [one["name"] for one in fleet.call("firewalls", "list")["items"]]
    assert [name for name in rules if name.startswith(NAME)] == [f"{NAME}-office"]


def test_what_is_in_use_is_asked_again_until_its_user_is_gone(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google still counts a user for some time after it has gone."""
    monkeypatch.setattr("immutable_servers.targets.cloud.calls.AGAIN_PAUSE", 0.1)
    fleet.cloud.set_manners(linger=0.5, operation=0.1)
    fleet.cloud.read_new()
    fleet.make_target().fleets.delete(GENERATION)
    refused = [one for one in fleet.cloud.read_new() if one.get("code") == 400]
    assert refused
    assert fleet.make_target().fleets.find(WEB) == {}


def test_the_header_leads_to_a_generation(fleet: World) -> None:
    """Its route rule is in the service's map, beside a pointer that refuses all."""
    balancer = fleet.make_target().balancer
    assert balancer.find_token(GENERATION).startswith("web-3f2a9c41-")
    assert balancer.find_token(GONE) == ""
