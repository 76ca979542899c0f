"""What the digitalocean target declares, under Pulumi's mocks and beside an account in memory."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi import ResourceOptions
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from harness import declarations
from harness.declarations import LAUNCH, ROUTES, STACK, WEB, Recorder, declare_stack, declare_two
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import ImmutableError, LaunchError, SettingsError
from immutable_servers.system.places import data_dir
from immutable_servers.targets.cloud.asked import Asked
from immutable_servers.targets.digitalocean.access import make_host_key
from immutable_servers.targets.digitalocean.generation import DoGraph
from immutable_servers.targets.digitalocean.names import (
    make_name,
    make_tag,
    tag_count,
    tag_generation,
    tag_live,
    tag_reserved,
    tag_service,
    tag_window,
    unpack_record,
)
from immutable_servers.targets.digitalocean.settings import DoSettings

SERVICE = Scope("project", "dev", "web")
GENERATION = "DoGeneration web-3f2a9c41"
DROPLETS = ("web-3f2a9c41-1", "web-3f2a9c41-2")
OWNER = Owner("file:///state", "0a1b", "organization", "project", "dev", "/checkout")
Account = Mapping[str, Sequence[Mapping[str, Any]]]

make_spec = partial(declarations.make_spec, "fra1:1007", {"window_ends": 99, "launched_at": 9})


class DigitalOcean(Recorder):
    """Answers as DigitalOcean would."""

    def add(self, kind: str, name: str) -> dict[str, Any]:
        """Return the address."""
        del name
        return {"ipAddress" if "ReservedIp" in kind else "ip": "203.0.113.7"}


class Balancer:
    """The part of the role that a graph asks."""

    def render_address(self, route: Route, name: str) -> str:
        """Return a URL."""
        return f"http://{name}:{route.port}"

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return a URL by the route's host."""
        del scope
        return f"http://{route.host or 'not-yet-there'}"


def start(
    settings: Mapping[str, Any], account: Account, owner: Owner, owned: list[Owner] | None = None
) -> Graph:
    """Start a graph beside an account that holds these things; `owned` gets what is written."""
    words = DoSettings.model_validate({"region": "fra1", **settings})

    def look(kind: str, tag_name: str = "") -> list[Any]:
        things = account.get(kind, ())
        return [one for one in things if not tag_name or tag_name in one["tags"]]

    def list_tags() -> list[str]:
        return [one["name"] for one in look("tags")]

    api = SimpleNamespace(settings=words, list=look, list_tags=list_tags, asked=Asked())
    ownership = SimpleNamespace(write_owner=[].append if owned is None else owned.append)
    return DoGraph(STACK, owner, SimpleNamespace(api=api, balancer=Balancer()), ownership)


def declare(
    routes: Sequence[Route] = ROUTES,
    *,
    frozen: bool = False,
    spec: dict[str, Any] | None = None,
    account: Account | None = None,
    **settings: Any,  # noqa: ANN401 - plain values
) -> Recorder:
    """Declare the balancer of one service, and one generation; return what was registered."""
    recorder = DigitalOcean()
    begin = partial(start, settings, account or {}, owned=recorder.owned)
    declare_stack(recorder, begin, routes, spec or make_spec(), frozen=frozen)
    return recorder


def have(*names: str, window: int = 0) -> Account:
    """Return an account with droplets of the service, whose login window ends then."""
    tags = [tag_service(SERVICE), *([tag_window(WEB, window)] if window else [])]
    return {"droplets": [{"id": at, "name": n, "tags": tags} for at, n in enumerate(names, 7)]}


def read_secret(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the launch data that the engine keeps as a secret."""
    assert value[_special_sig_key] == _special_secret_sig
    found: dict[str, Any] = json.loads(value["value"])
    return found


def test_every_resource_has_a_steady_name() -> None:
    """A service has a balancer and a firewall, a generation droplets with its id."""
    recorder = declare()
    assert {*recorder.seen} == {
        "digitalocean digitalocean",
        "Tag balancer",
        "Tag web.servers",
        "Tag web.live",
        "LoadBalancer web",
        "Firewall web",
        "DoEnd stack.end",
        "DoEnd web",
        GENERATION,
        *(f"Droplet {name}" for name in DROPLETS),
        "DoFleet web-3f2a9c41",
    }
    assert recorder.address == "http://203.0.113.7:8080"


def test_the_stack_has_a_protected_tag_of_its_own() -> None:
    """A service's balancer goes with the service, so that it is not protected."""
    recorder = declare()
    requests = recorder.monitor.requests
    assert {name for name, one in requests.items() if one.protect} == {"Tag balancer"}
    assert recorder.seen["Tag balancer"]["name"] == make_tag("stack", STACK)


def test_the_owner_is_recorded_when_the_stack_s_tag_is_first_made() -> None:
    """Before there is one the update could not; the stack's end, which removes it, comes first."""
    recorder = declare()
    assert [one.stack for one in recorder.owned] == ["dev"]
    assert "DoEnd stack.end" in recorder.find_dependencies("Tag balancer")
    assert declare(account={"tags": [{"name": make_tag("stack", STACK)}]}).owned == []


def test_the_balancer_is_pointed_by_tag() -> None:
    """An update writes everything: with droplets by id it would empty the pool, or fill it."""
    recorder = declare()
    inputs = recorder.seen["LoadBalancer web"]
    assert inputs["dropletTag"] == tag_live(SERVICE)
    assert "dropletIds" not in inputs
    assert inputs["name"] == make_name(SERVICE)
    (rule,) = inputs["forwardingRules"]
    assert (rule["entryProtocol"], rule["entryPort"]) == ("http", 8080)
    assert (rule["targetProtocol"], rule["targetPort"]) == ("http", 80)
    check = inputs["healthcheck"]
    assert (check["protocol"], check["port"], check["path"]) == ("http", 80, "/healthz")
    assert 3 <= check["responseTimeoutSeconds"] < check["checkIntervalSeconds"]
    assert inputs["stickySessions"] == {"type": "none"}
    assert not recorder.monitor.requests["LoadBalancer web"].ignoreChanges


def test_who_reaches_the_balancer() -> None:
    """By default everybody, else the ranges of `allow_from`; timeout and nodes are settings."""
    assert "firewall" not in declare().seen["LoadBalancer web"]
    inputs = declare(allow_from=["192.0.2.0/24"], timeout=300, nodes=3).seen["LoadBalancer web"]
    assert inputs["firewall"] == {"allows": ["cidr:192.0.2.0/24"]}
    assert (inputs["httpIdleTimeoutSeconds"], inputs["sizeUnit"]) == (300, 3)


def test_https_comes_with_a_certificate() -> None:
    """The certificate is found by its name; HTTP may be redirected to the usual port of HTTPS."""
    host = [Route("web", 0, "www.example.com")]
    inputs = declare(host, certificate="www", redirect=80).seen["LoadBalancer web"]
    secure, plain = inputs["forwardingRules"]
    assert (secure["entryProtocol"], secure["entryPort"]) == ("https", 443)
    assert secure["certificateName"] == "www"
    assert (plain["entryProtocol"], plain["entryPort"]) == ("http", 80)
    assert inputs["redirectHttpToHttps"] is True
    inputs = declare(certificate="www", redirect=80).seen["LoadBalancer web"]
    (rule,) = inputs["forwardingRules"]
    assert (rule["entryProtocol"], rule["entryPort"]) == ("https", 8080)
    assert inputs["redirectHttpToHttps"] is False


def test_a_host_answers_on_the_shared_port() -> None:
    """Its balancer is its own, and DNS names it."""
    routes = [Route("web", 0, "www.example.com")]
    recorder = declare(routes)
    (rule,) = recorder.seen["LoadBalancer web"]["forwardingRules"]
    assert rule["entryPort"] == 80
    assert recorder.address == "http://www.example.com"


def test_droplets_are_reached_by_the_balancer_alone() -> None:
    """The firewall goes by the service's tag, and is there before any droplet."""
    recorder = declare()
    inputs = recorder.seen["Firewall web"]
    assert inputs["tags"] == [tag_service(SERVICE)]
    (rule,) = inputs["inboundRules"]
    assert rule == {
        "protocol": "tcp",
        "portRange": "80",
        "sourceLoadBalancerUids": ["LoadBalancer-web-id"],
    }
    assert recorder.find_dependencies("DoEnd web") >= {"Firewall web", "LoadBalancer web"}
    assert recorder.find_dependencies(GENERATION) >= {"DoEnd web"}
    for name in DROPLETS:
        assert GENERATION in recorder.find_dependencies(f"Droplet {name}")


def test_a_fresh_droplet_is_open_to_its_key_alone() -> None:
    """It has no agent, the record and the service's tags, and never the live tag."""
    recorder = declare(vpc="0f1e2d3c-0000-4000-8000-000000000000")
    inputs = recorder.seen[f"Droplet {DROPLETS[0]}"]
    assert (inputs["image"], inputs["size"], inputs["region"]) == ("1007", "s-1vcpu-2gb", "fra1")
    assert (inputs["dropletAgent"], inputs["ipv6"]) == (False, False)
    assert inputs["publicNetworking"] is True
    assert inputs["vpcUuid"] == "0f1e2d3c-0000-4000-8000-000000000000"
    assert not {"sshKeys", "dropletIds"} & {*inputs}
    assert {tag_service(SERVICE), tag_generation(WEB)} < {*inputs["tags"]}
    assert tag_live(SERVICE) not in inputs["tags"]
    assert {tag_count(WEB, 2), tag_window(WEB, 99)} < {*inputs["tags"]}
    assert unpack_record(WEB, inputs["tags"])["order"] == 1
    launch = read_secret(inputs["userData"])
    assert (launch["server"], launch["login_key"]) == (DROPLETS[0], "ssh-ed25519 AAAA")
    assert (launch["window_ends"], launch["env"]) == (99, {"GREETING": "hello"})
    requests = recorder.monitor.requests
    for name in DROPLETS:
        assert not requests[f"Droplet {name}"].ignoreChanges
        assert requests[f"Droplet {name}"].retainOnDelete
    assert recorder.find_dependencies("DoFleet web-3f2a9c41") >= {f"Droplet {n}" for n in DROPLETS}


def test_a_droplet_that_exists_is_left_alone() -> None:
    """Lists are named beside `*`: after a refresh the provider would take the live tag off."""
    requests = declare(frozen=True, account=have(*DROPLETS)).monitor.requests
    for at, name in enumerate(DROPLETS, 7):
        request = requests[f"Droplet {name}"]
        assert {"*", "tags"} <= {*request.ignoreChanges}
        assert request.importId == str(at)
    ignored = requests["DoFleet web-3f2a9c41"].ignoreChanges
    assert {"servers", "droplets"}.isdisjoint(ignored)


def test_few_droplets_are_made_side_by_side() -> None:
    """DigitalOcean makes ten at a time, and refuses another one."""
    recorder = declare(spec=make_spec(servers=12))
    for number in range(1, 13):
        found = recorder.find_dependencies(f"Droplet web-3f2a9c41-{number}")
        before = {name for name in found if name.startswith("Droplet ")}
        assert before == ({f"Droplet web-3f2a9c41-{number - 4}"} if number > 4 else set())


def test_what_a_killed_run_made_is_adopted() -> None:
    """The droplet that is there is imported as it is, and the one that is missing is made."""
    requests = declare(account=have(DROPLETS[1])).monitor.requests
    first, second = (requests[f"Droplet {name}"] for name in DROPLETS)
    assert (first.importId, second.importId) == ("", "7")
    assert not first.ignoreChanges
    assert {"*", "tags"} <= {*second.ignoreChanges}


def test_a_droplet_that_is_added_later_boots_sealed() -> None:
    """The window of its generation is over: no key is in its launch data."""
    seen = declare(frozen=True, account=have(DROPLETS[0])).seen
    launch = json.loads(seen[f"Droplet {DROPLETS[1]}"]["userData"])
    assert not {"login_key", "inspection_key", "window_ends"} & {*launch}
    assert launch["server"] == DROPLETS[1]
    assert not any(":window-ends:" in tag for tag in seen[f"Droplet {DROPLETS[1]}"]["tags"])


def test_a_launch_that_was_killed_goes_on_open() -> None:
    """Its other droplets have their window still: nobody could verify one that boots sealed."""
    seen = declare(frozen=True, account=have(DROPLETS[0], window=99)).seen
    inputs = seen[f"Droplet {DROPLETS[1]}"]
    assert read_secret(inputs["userData"])["login_key"] == "ssh-ed25519 AAAA"
    assert tag_window(WEB, 99) in inputs["tags"]


def test_a_launch_hands_over_the_host_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that was made here with the login's, and a secret of the state."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    make_host_key(data_dir() / "digitalocean" / make_name(WEB), WEB)
    launch = read_secret(declare().seen[f"Droplet {DROPLETS[0]}"]["userData"])
    assert launch["host_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_what_leads_to_droplets_is_adopted() -> None:
    """A killed run leaves balancer, firewall and tags that no state knows."""
    name, tag = make_name(SERVICE), tag_live(SERVICE)
    account = {
        "load_balancers": [{"id": "lb-1", "name": name}],
        "firewalls": [{"id": "fw-1", "name": name}],
        "tags": [{"name": tag}],
    }
    requests = declare(account=account).monitor.requests
    assert requests["LoadBalancer web"].importId == "lb-1"
    assert requests["Firewall web"].importId == "fw-1"
    assert requests["Tag web.live"].importId == tag
    assert not requests["Tag web.servers"].importId


def test_a_size_that_is_gone_stops_no_generation_that_has_it() -> None:
    """A fresh one is refused."""
    spec = make_spec(launch={**LAUNCH, "size": "huge"})
    declare(frozen=True, spec=spec, account=have(*DROPLETS))
    with pytest.raises(SettingsError, match="huge"):
        declare(spec=spec)


def test_launch_overrides_pass_through() -> None:
    """Anything else of a droplet can be said, but not what makes a generation."""
    spec = make_spec(launch={**LAUNCH, "overrides": {"monitoring": True}})
    assert declare(spec=spec).seen[f"Droplet {DROPLETS[0]}"]["monitoring"] is True
    for key in ("user_data", "ssh_keys", "tags", "colour"):
        with pytest.raises(SettingsError, match="launch_overrides"):
            declare(spec=make_spec(launch={**LAUNCH, "overrides": {key: "x"}}))


def test_servers_without_a_window_are_not_launched() -> None:
    """A run that leaves the login key out would make droplets that nobody can verify."""
    with pytest.raises(ImmutableError, match=r"left out|missing"):
        declare(spec=make_spec(public_key=None, servers=1))  # of two the second one fails unheard


def test_a_fleet_is_declared_after_the_balancer() -> None:
    """A program in another order is a mistake of ours, and says so."""
    graph = start({}, {}, OWNER)
    with pytest.raises(LaunchError, match="after its balancer"):
        graph.prepare_fleet(
            "web", WEB, Launch.from_plain(LAUNCH), frozen=True, opts=ResourceOptions()
        )


@pytest.mark.parametrize("changed", [{"port": 8080}, {"health": "/alive"}])
def test_another_port_or_path_of_a_service_is_refused(changed: dict[str, Any]) -> None:
    """Its balancer asks all servers on one port and path: those that serve would be lost."""
    graph: Any = start({}, {}, OWNER)
    graph.answers_at, there = "tag", (LAUNCH["port"], LAUNCH["health"])
    graph.ways = {"web": SimpleNamespace(asked=there)}
    launch = Launch.from_plain({**LAUNCH, **changed})
    with pytest.raises(SettingsError, match="another port or health path"):
        graph.prepare_fleet("web", WEB, launch, frozen=False, opts=ResourceOptions())


def test_generations_of_a_service_come_one_after_the_other() -> None:
    """The second one waits until the first one's is written."""
    recorder = DigitalOcean()
    declare_two(recorder, partial(start, {}, {}), "DoGeneration")
    assert "DoGeneration web-00000002" not in recorder.late
    assert "DoGeneration web-00000002" in recorder.seen
    assert [*recorder.seen].count("LoadBalancer web") == 1


RESERVED = [Route("web", 80, reserved_ip=True)]


def test_a_reserved_ip_is_in_place_of_a_balancer() -> None:
    """It is never assigned by the engine; a tag says whose it is, and comes before any droplet."""
    recorder = declare(RESERVED, allow_from=["192.0.2.0/24"])
    assert not {"LoadBalancer web", "Tag web.live"} & {*recorder.seen}
    assert recorder.seen["ReservedIp web"] == {"region": "fra1"}
    assert "dropletId" in recorder.monitor.requests["ReservedIp web"].ignoreChanges
    assert recorder.seen["Tag web.reserved"]["name"] == tag_reserved(SERVICE, "203.0.113.7")
    assert "Tag web.reserved" in recorder.find_dependencies("DoEnd web")
    (rule,) = recorder.seen["Firewall web"]["inboundRules"]
    assert rule == {"protocol": "tcp", "portRange": "80", "sourceAddresses": ["192.0.2.0/24"]}
    assert recorder.address == "http://203.0.113.7:80"


def test_a_reserved_ip_that_is_there_is_adopted() -> None:
    """Its tag says so; another service's is left alone."""
    tag = tag_reserved(SERVICE, "192.0.2.9")
    addresses = [{"ip": "192.0.2.8"}, {"ip": "192.0.2.9"}]
    account: Account = {"tags": [{"name": tag}], "reserved_ips": addresses}
    requests = declare(RESERVED, account=account).monitor.requests
    assert requests["ReservedIp web"].importId == "192.0.2.9"
    assert requests["Tag web.reserved"].importId == tag


def test_balancer_and_reserved_ip_do_not_replace_each_other() -> None:
    """Both would lead to the service, and only one of them would be moved."""
    account: Account = {"load_balancers": [{"id": "lb-1", "name": make_name(SERVICE)}]}
    with pytest.raises(SettingsError, match="cannot change between"):
        declare(RESERVED, account=account)
    tag = tag_reserved(SERVICE, "192.0.2.9")
    account = {"tags": [{"name": tag}], "reserved_ips": [{"ip": "192.0.2.9"}]}
    with pytest.raises(SettingsError, match="cannot change between"):
        declare(account=account)


def test_a_reserved_ip_needs_public_addresses() -> None:
    """A droplet without one can have none."""
    with pytest.raises(SettingsError, match="cannot have a reserved IP"):
        declare(RESERVED, public_addresses=False)
