"""The emulated cloud's own manners behind its API: each is there, and is as Google's."""

import ssl
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import pytest

from clouds.gcp.emulation.world import PUBLIC_NET
from harness.cloud_world import STACK, WEB
from harness.gcp.cloud import REGION, start_cloud
from harness.gcp.gcp_world import LAUNCH, PLACE, World, enter_world
from immutable_servers.contract.values import Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.gcp.answers import count_answers
from immutable_servers.targets.gcp.names import HEADER, make_name

PORT = 8080
FRONTS = 6
"""How many front ends there are: one of so many and one more connections lands on one again."""
SHOWN_SECONDS = 30.0
"""How long what was brought about may take to be seen."""
OLD, NEW = (replace(WEB, generation=f"{number}" * 8) for number in (1, 2))
Said = tuple[int, str]
"""Code and generation of an answer."""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield a project whose balancer has an address."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud, enter_world(cloud) as world:
        world.make_balancer()
        world.open_front()
        yield world


def find_address(world: World) -> str:
    """Return the balancer's address: the first one of a project."""
    return f"{world.cloud.network}.{PUBLIC_NET}.1"


def ask(world: World, **headers: str) -> Said:
    """Ask the balancer on a connection of its own."""
    asked = urllib.request.Request(f"http://{find_address(world)}:{PORT}/", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=5) as said:  # noqa: S310 - this machine
            return said.status, str(said.headers.get(HEADER, ""))
    except urllib.error.HTTPError as error:
        return error.code, ""


def point(world: World, **weights: int) -> None:
    """Have the map send so much to the generations: `old` and `new`."""
    named = {"old": OLD, "new": NEW}
    world.make_target().balancer._point(
        WEB, {named[name].generation: weight for name, weight in weights.items()}
    )


def see(what: str, look: Callable[[], object]) -> None:
    """Wait until something is so."""
    assert wait_until(what, SHOWN_SECONDS, look, every=0.05), what


def make_generations(world: World, *scopes: Scope, servers: int = 1) -> None:
    """Make generations, and wait until they are healthy."""
    for scope in scopes:
        world.make_fleet(scope, servers)
    for scope in scopes:
        world.wait_until_healthy(scope)


def list_machines(world: World, scope: Scope) -> list[dict[str, Any]]:
    """Return what the API says of a group's machines."""
    said = world.call(
        "regionInstanceGroupManagers",
        "listManagedInstances",
        region=REGION,
        instanceGroupManager=make_name(scope),
    )
    return list(said.get("managedInstances", []))


def find_group(world: World, scope: Scope) -> dict[str, Any]:
    """Return a group's manager."""
    which = {"region": REGION, "instanceGroupManager": make_name(scope)}
    return world.call("regionInstanceGroupManagers", "get", **which)


def change_group(world: World, scope: Scope, method: str, **arguments: Any) -> None:  # noqa: ANN401
    """Ask a group's manager for something."""
    world.call(
        "regionInstanceGroupManagers",
        method,
        region=REGION,
        instanceGroupManager=make_name(scope),
        **arguments,
    )


def list_instances(world: World) -> list[dict[str, Any]]:
    """Return all instances."""
    said = world.call("instances", "aggregatedList")["items"].values()
    return [one for zone in said for one in zone.get("instances", [])]


# front ends
def test_front_ends_follow_in_their_own_time_and_in_no_order(world: World) -> None:
    """A connection finds the old or the new generation, until all front ends know the new one."""
    make_generations(world, OLD, NEW)
    point(world, old=100)
    see("old", lambda: ask(world) == (200, "web-11111111"))
    world.cloud.set_manners(follow=3.0)
    world.cloud.read_new()
    point(world, new=100)
    seen: list[Said] = []

    def is_over() -> bool:
        seen.append(ask(world))
        return len(seen) > 20 and {*seen[-20:]} == {(200, "web-22222222")}

    see("new", is_over)
    assert {*seen} == {(200, "web-11111111"), (200, "web-22222222")}
    changes = seen.index((200, "web-22222222"))
    assert (200, "web-11111111") in seen[changes:]  # some are still old when one is new
    (late,) = [event["late"] for event in world.cloud.read_new() if event["event"] == "follow"]
    assert late != sorted(late)
    assert len({*late}) == len(late)


def test_a_kept_connection_goes_by_what_its_front_end_knows(world: World) -> None:
    """Its next request is the new generation's, and one under way ends with the old one."""
    make_generations(world, OLD, NEW)
    point(world, old=100)
    see("old", lambda: ask(world) == (200, "web-11111111"))
    line = HTTPConnection(find_address(world), PORT)
    line.request("GET", "/")
    said = line.getresponse()
    assert said.read()
    assert said.headers[HEADER] == "web-11111111"
    kept = line.sock
    point(world, new=100)
    line.request("GET", "/")
    assert line.getresponse().headers[HEADER] == "web-22222222"
    assert line.sock is kept


def test_a_route_rule_leads_to_its_generation_alone(world: World) -> None:
    """By the value that is in the map; everybody else is refused while nobody has traffic."""
    make_generations(world, OLD, NEW)
    token = world.make_target().balancer.find_token(NEW)
    see("new", lambda: ask(world, **{HEADER: token}) == (200, "web-22222222"))
    assert ask(world) == (503, "")
    assert ask(world, **{HEADER: "web-22222222"}) == (503, "")


def test_weights_share_the_requests(world: World) -> None:
    """A canary gets about its percentage."""
    make_generations(world, OLD, NEW)
    point(world, old=70, new=30)
    see("both", lambda: ask(world) == (200, "web-22222222"))
    got = Counter(ask(world)[1] for _ in range(300))
    assert got.keys() == {"web-11111111", "web-22222222"}
    assert 60 < got["web-22222222"] < 120


def test_a_service_whose_machines_are_gone_is_refused(world: World) -> None:
    """No healthy machine is 503, and the answer is not the generation's."""
    make_generations(world, OLD)
    point(world, old=100)
    see("old", lambda: ask(world) == (200, "web-11111111"))
    (world.cloud.folder / "sick-11111111").touch()
    see("sick", lambda: ask(world) == (503, ""))
    (world.cloud.folder / "sick-11111111").unlink()
    see("well", lambda: ask(world) == (200, "web-11111111"))
    change_group(world, OLD, "resize", size=0)
    see("gone", lambda: ask(world) == (503, ""))


@pytest.mark.parametrize(("idle", "breaks"), [(30.0, True), (4200.0, False)])
def test_a_server_that_closes_idle_connections_first_breaks_answers(
    world: World, idle: float, *, breaks: bool
) -> None:
    """Google keeps them for 600 s: see `fronts.py`."""
    world.cloud.set_manners(server_idle=idle, pace=0.02, race=5.0)
    make_generations(world, OLD)
    point(world, old=100)
    codes: list[int] = []

    def is_asked() -> bool:
        codes.append(ask(world)[0])
        return len(codes) > FRONTS or 502 in codes

    assert wait_until("asked", SHOWN_SECONDS, is_asked, every=0.65)
    assert (502 in codes) == breaks


def test_machines_that_give_no_answer_are_502_and_504(world: World) -> None:
    """They hang up, or hang; both are counted as no answer."""
    world.cloud.set_manners(pace=0.01)
    make_generations(world, OLD)
    point(world, old=100)
    see("old", lambda: ask(world)[0] == 200)
    for state, code in (("dying", 502), ("hung", 504)):
        (world.cloud.folder / f"{state}-").touch()
        assert ask(world)[0] == code
        (world.cloud.folder / f"{state}-").unlink()
    assert ask(world)[0] == 200


def test_a_proxy_of_https_has_a_certificate_and_another_port_leads_there(world: World) -> None:
    """A map that only redirects keeps host and path, and names no port."""
    place, domains = f"{PLACE}/global", ["www.example.com"]
    certificate = {"name": "names", "type": "MANAGED", "managed": {"domains": domains}}
    world.insert("sslCertificates", certificate)
    world.insert(
        "targetHttpsProxies",
        {
            "name": "secure",
            "urlMap": f"{place}/urlMaps/{make_name(WEB)}",
            "sslCertificates": [f"{place}/sslCertificates/names"],
        },
    )
    redirect = {"httpsRedirect": True, "redirectResponseCode": "PERMANENT_REDIRECT"}
    world.insert("urlMaps", {"name": "there", "defaultUrlRedirect": redirect})
    world.insert("targetHttpProxies", {"name": "there", "urlMap": f"{place}/urlMaps/there"})
    for proxy, port in (("targetHttpsProxies/secure", 8443), ("targetHttpProxies/there", 8081)):
        rule = {
            "name": f"port-{port}",
            "target": f"{place}/{proxy}",
            "IPAddress": f"{place}/addresses/{make_name(STACK)}",
            "portRange": str(port),
            "loadBalancingScheme": "EXTERNAL_MANAGED",
        }
        world.insert("globalForwardingRules", rule)
    line = HTTPConnection(find_address(world), 8081)
    line.request("GET", "/a?b=c", headers={"Host": "www.example.com:8081"})
    said = line.getresponse()
    assert (said.status, said.headers["Location"]) == (308, "https://www.example.com/a?b=c")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    secure = HTTPSConnection(find_address(world), 8443, context=trusting)
    secure.request("GET", "/")
    assert secure.getresponse().status == 503


# health and the firewall
def test_health_is_empty_at_first_and_only_of_what_something_refers_to(world: World) -> None:
    """Neither says anything about a machine that nobody has asked."""
    world.cloud.set_manners(blind=3600.0)
    world.make_fleet(OLD, 1)
    see("a machine", lambda: find_group(world, OLD)["status"]["isStable"])
    assert find_states(world, OLD) == []
    world.cloud.set_manners(blind=0.0)
    see("healthy", lambda: find_states(world, OLD) == ["HEALTHY"])
    world.make_target().balancer.remove_route(OLD)
    see("nothing", lambda: find_states(world, OLD) == [])


def find_states(world: World, scope: Scope) -> list[str]:
    """Return what `getHealth` says of a generation's machines."""
    group = f"{PLACE}/regions/{REGION}/instanceGroups/{make_name(scope)}"
    said = world.call(
        "backendServices", "getHealth", backendService=make_name(scope), body={"group": group}
    )
    return [one["healthState"] for one in said.get("healthStatus", [])]


def test_a_machine_whose_firewall_is_closed_is_unhealthy(world: World) -> None:
    """Checks and requests come from Google's ranges; a deny of a lower number decides."""
    make_generations(world, OLD)
    deny = {
        "name": "deny",
        "network": f"{PLACE}/global/networks/default",
        "priority": 10,
        "sourceRanges": ["35.191.0.0/16"],
        "denied": [{"IPProtocol": "all"}],
    }
    world.insert("firewalls", deny)
    see("closed", lambda: find_states(world, OLD) == ["UNHEALTHY"])
    world.call("firewalls", "patch", firewall="deny", body={"disabled": True})
    see("open", lambda: find_states(world, OLD) == ["HEALTHY"])


def test_nobody_but_the_balancer_reaches_a_machine(world: World) -> None:
    """Neither the service's port, nor logins without a rule that lets them in."""
    make_generations(world, OLD)
    (instance,) = list_instances(world)
    address = instance["networkInterfaces"][0]["networkIP"]
    with pytest.raises(OSError, match=r"closed|reset|without response"):
        urllib.request.urlopen(f"http://{address}:{LAUNCH.port}/", timeout=5)


# groups
def test_a_group_says_what_is_under_way(world: World) -> None:
    """Its machines are created, it is stable when all are, and each is in the fewest's zone."""
    world.cloud.set_manners(boot=3.0)
    world.make_fleet(OLD, 3)
    assert not find_group(world, OLD)["status"]["isStable"]
    assert find_group(world, OLD)["currentActions"]["creating"] == 3
    assert {one["currentAction"] for one in list_machines(world, OLD)} == {"CREATING"}
    see("stable", lambda: find_group(world, OLD)["status"]["isStable"])
    assert find_group(world, OLD)["currentActions"]["none"] == 3
    machines = list_machines(world, OLD)
    assert {one["instanceStatus"] for one in machines} == {"RUNNING"}
    assert len({one["instance"].split("/zones/")[1].split("/")[0] for one in machines}) == 3
    assert all(one["name"].startswith(f"{make_name(OLD)}-") for one in machines)


@pytest.mark.parametrize("shape", ["EVEN", "BALANCED"])
def test_a_zone_without_room(world: World, shape: str) -> None:
    """An even group waits for it and says why; a balanced one goes elsewhere."""
    world.cloud.set_manners(no_room={f"{REGION}-a": "ZONE_RESOURCE_POOL_EXHAUSTED"})
    world.make_fleet(NEW, 0)
    change_group(
        world,
        NEW,
        "patch",
        body={
            "targetSize": 3,
            "distributionPolicy": {"targetShape": shape},
            "updatePolicy": {"instanceRedistributionType": "NONE"},
        },
    )
    see("two", lambda: len(list_instances(world)) >= 2)
    errors = world.call(
        "regionInstanceGroupManagers",
        "listErrors",
        region=REGION,
        instanceGroupManager=make_name(NEW),
    )["items"]
    assert errors[0]["error"]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    if shape == "BALANCED":
        see("three", lambda: find_group(world, NEW)["status"]["isStable"])
        return
    failed = [one for one in list_machines(world, NEW) if "lastAttempt" in one]
    assert [one["currentAction"] for one in failed] == ["CREATING"]
    world.cloud.set_manners(no_room={})
    see("three", lambda: find_group(world, NEW)["status"]["isStable"])


def test_a_quota_is_no_error_of_the_group_but_of_its_machines(world: World) -> None:
    """The call that made the group went well."""
    world.cloud.set_fault("group.create", "", code="QUOTA_EXCEEDED", message="CPUS", times=1000)
    world.make_fleet(OLD, 1)
    see("failed", lambda: "lastAttempt" in list_machines(world, OLD)[0])
    error = list_machines(world, OLD)[0]["lastAttempt"]["errors"]["errors"][0]
    assert error == {"code": "QUOTA_EXCEEDED", "message": "CPUS"}
    world.cloud.clear_faults()
    world.wait_until_healthy(OLD)
    assert "lastAttempt" not in list_machines(world, OLD)[0]


def test_the_groups_override_is_for_machines_made_from_then_on(world: World) -> None:
    """Those that exist keep what they were made with; one that is made again has the new one."""
    make_generations(world, OLD)
    override = {"properties": {"metadata": {"immutable-window": ""}}}
    change_group(world, OLD, "patch", body={"allInstancesConfig": override, "targetSize": 2})
    see("two", lambda: find_group(world, OLD)["currentActions"]["none"] == 2)
    assert sorted(map(is_sealed, list_instances(world))) == [False, True]
    assert not find_group(world, OLD)["status"]["allInstancesConfig"]["effective"]
    links = [one["selfLink"] for one in list_instances(world) if not is_sealed(one)]
    change_group(world, OLD, "recreateInstances", body={"instances": links})
    see("sealed", lambda: [*map(is_sealed, list_instances(world))] == [True, True])
    assert {*links} <= {one["selfLink"] for one in list_instances(world)}


def is_sealed(instance: Mapping[str, Any]) -> bool:
    """Tell whether an instance was made without a window."""
    texts = {one["key"]: one["value"] for one in instance["metadata"]["items"]}
    return not texts["immutable-window"]


@pytest.mark.parametrize(("action", "after"), [("REPAIR", "RUNNING"), ("DO_NOTHING", "TERMINATED")])
def test_a_machine_that_stops(world: World, action: str, after: str) -> None:
    """It is made again with its name, or left as it is."""
    make_generations(world, OLD)
    policy = {"instanceLifecyclePolicy": {"defaultActionOnFailure": action}}
    change_group(world, OLD, "patch", body=policy)
    (before,) = list_instances(world)
    zone = before["zone"].rpartition("/")[2]
    world.call("instances", "stop", zone=zone, instance=before["name"])
    see(after, lambda: [one["status"] for one in list_instances(world)] == [after])
    (now,) = list_instances(world)
    assert now["name"] == before["name"]
    assert (now["id"] == before["id"]) == (action == "DO_NOTHING")


def test_a_sick_machine_is_made_again_after_the_initial_delay(world: World) -> None:
    """Not before, and not in a group that heals nothing."""
    world.cloud.set_manners(pace=0.01)
    make_generations(world, OLD)
    (before,) = list_instances(world)
    (world.cloud.folder / "sick-11111111").touch()
    see("sick", lambda: find_states(world, OLD) == ["UNHEALTHY"])
    check = f"{PLACE}/global/healthChecks/{make_name(OLD)}"
    heal = [{"healthCheck": check, "initialDelaySec": 300}]
    body = {
        "autoHealingPolicies": heal,
        "instanceLifecyclePolicy": {"defaultActionOnFailure": "REPAIR"},
    }
    change_group(world, OLD, "patch", body=body)
    see("healed", lambda: [one["id"] for one in list_instances(world)] != [before["id"]])
    (world.cloud.folder / "sick-11111111").unlink()
    see("well", lambda: find_group(world, OLD)["status"]["isStable"])


def test_a_machine_that_leaves_is_drained(world: World) -> None:
    """It gets no new request, and is there until its connections have had their time."""
    world.cloud.set_manners(pace=0.1)
    make_generations(world, OLD, servers=2)
    service = world.call("backendServices", "get", backendService=make_name(OLD))
    body = {"connectionDraining": {"drainingTimeoutSec": 20}, "fingerprint": service["fingerprint"]}
    world.call("backendServices", "patch", backendService=make_name(OLD), body=body)
    began = time.monotonic()
    (link, _) = [one["selfLink"] for one in list_instances(world)]
    change_group(world, OLD, "deleteInstances", body={"instances": [link]})
    assert find_group(world, OLD)["targetSize"] == 1
    assert {one["currentAction"] for one in list_machines(world, OLD)} == {"NONE", "DELETING"}
    see("one", lambda: len(find_states(world, OLD)) == 1)
    assert len(list_instances(world)) == 2
    see("ended", lambda: len(list_instances(world)) == 1)
    assert time.monotonic() - began >= 2.0


def test_a_group_in_use_is_not_deleted(world: World) -> None:
    """It ends with its machines, once no backend service has it."""
    make_generations(world, OLD)
    name = make_name(OLD)
    with pytest.raises(Exception, match="already being used by"):
        change_group(world, OLD, "delete")
    world.make_target().balancer.remove_route(OLD)
    world.call("backendServices", "delete", backendService=name)
    change_group(world, OLD, "delete")
    assert list_instances(world) == []
    world.call("instanceTemplates", "delete", instanceTemplate=name)


# Monitoring
def test_what_was_counted_is_seen_later(world: World) -> None:
    """A minute is added up first, and then comes within minutes, by the cloud's clock."""
    world.cloud.set_manners(sampled=60.0, visible=210.0)
    make_generations(world, OLD)
    point(world, old=100)
    see("old", lambda: ask(world)[0] == 200)
    before = count_requests(world)
    for _ in range(5):
        assert ask(world)[0] == 200
    assert count_requests(world) == before == 0
    world.cloud.pass_by(60 + 210)
    assert count_requests(world) >= 6


def count_requests(world: World) -> int:
    """Return how many requests Monitoring knows of, by the cloud's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", world.cloud.find_time)
        counted = count_answers(world.make_target().api, make_name(OLD))
        return sum(one.requests for one in counted.values())
