"""`doctor` on an emulated account: each line says what was found, and what to do when it is bad."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouds.digitalocean.emulation.places import DEBIAN
from harness.cloud_world import WEB
from harness.digitalocean.cloud import REGION
from harness.digitalocean.do_world import World
from harness.doctor import ask_one, get_one, make_demand
from immutable_servers.contract.readiness import Demand, Finding
from immutable_servers.contract.values import Route
from immutable_servers.errors import LaunchError
from immutable_servers.targets.digitalocean import readiness
from immutable_servers.targets.digitalocean.faults import name_scope
from immutable_servers.targets.digitalocean.readiness import READS, ROLES, read_scopes

OWN = "203.0.113.7/32"


def ask(
    world: World,
    what: str,
    demand: Demand | None = None,
    **settings: Any,  # noqa: ANN401
) -> Sequence[Finding]:
    """Return the lines of one check."""
    return ask_one(world.make_target(**settings).readiness, what, demand or make_demand())


def see(world: World, what: str, demand: Demand | None = None, **settings: Any) -> Finding:  # noqa: ANN401
    """Return the only line of one check; each that is not ok has a way out."""
    return get_one(ask(world, what, demand, **settings))


@pytest.fixture(autouse=True)
def own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine an address in the internet."""
    monkeypatch.setattr(readiness, "find_verifier", lambda: OWN)


def find_image(world: World) -> dict[str, str]:
    """Return the lock's entry of DigitalOcean's newest image."""
    found = world.call("GET", f"images/{DEBIAN}")["image"]
    return {"image": str(found["id"]), "slug": DEBIAN, "created": found["created_at"]}


def test_an_account_that_has_all_it_needs(world: World) -> None:
    """Every line is ok, but for HTTP without a certificate; each list is asked for once."""
    starts, target = {"base": find_image(world)}, world.make_target(verify_from=[])
    world.cloud.read_new()
    lines = target.readiness.find_readiness(make_demand(starts=starts))
    assert {line.what for line in lines if line.status != "ok"} == {"certificate"}, lines
    assert all(line.todo or line.status == "ok" for line in lines)
    said = {line.what: line.found for line in lines}
    assert said["credentials"] == f"somebody@example.com, region {REGION}"
    assert said["sizes"] == "s-1vcpu-1gb (25 GB), s-1vcpu-2gb (50 GB) in fra1"
    assert said["network"].startswith("VPC default-fra1 10.")
    assert said["way to servers"] == f"public, from {OWN}"
    assert said["lock of base"].endswith("is available")
    asked = [one["path"] for one in world.cloud.read_new() if one["event"] == "api"]
    assert len(asked) <= len({*asked}) + 3  # two checks may begin to ask at the same time


def test_a_token_that_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, and with one that DigitalOcean does not know: nothing else is asked."""
    for value, word in (("nobody", "does not accept the token"), ("", "no DigitalOcean token")):
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", value)
        monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
        world.cloud.forget_clients()
        (line,) = world.make_target().readiness.find_readiness(make_demand())
        assert (line.status, word in line.found) == ("not ok", True), line
        assert "DIGITALOCEAN_TOKEN" in line.todo
        assert "nobody" not in f"{line}"


def test_who_is_not_let_in_is_asked_nothing_else(world: World) -> None:
    """No such region, an account that is locked, and a right that every question needs."""
    lines = world.make_target(region="lon9").readiness.find_readiness(make_demand())
    assert [line.status for line in lines] == ["not ok", "ok"]
    assert "there are fra1, ams3, nyc1" in lines[0].todo
    for status, judged in (("warning", "note"), ("locked", "not ok")):
        words = {"status": status, "status_message": "Pay first."}
        world.cloud.put("account", "account", words)
        lines = world.make_target().readiness.find_readiness(make_demand())
        assert (lines[0].status, "Pay first." in lines[0].found) == (judged, True)
    world.cloud.deny("account:read")
    (line,) = world.make_target().readiness.find_readiness(make_demand())
    assert (line.status, line.todo) == ("not known", "needs account:read")


def test_scopes_to_read_are_tried(world: World) -> None:
    """Those that are missing are named; what the token may change is told by no call."""
    line = see(world, "scopes")
    assert (line.status, "told by no call" in line.found) == ("ok", True)
    world.cloud.deny("firewall:read", "tag:read", "load_balancer:update")
    line = see(world, "scopes")
    assert (line.status, line.found) == ("not ok", "missing: firewall:read, tag:read")
    world.cloud.deny("vpc:read")
    line = see(world, "network")
    assert (line.status, line.todo) == ("not known", "needs vpc:read")


def test_the_least_scopes_are_a_file() -> None:
    """A preview changes nothing, and what its questions need is among its scopes."""
    assert all(scope.endswith(":read") for scope in read_scopes("preview"))
    assert {name_scope(f"{one}.list") for one in READS} <= {*read_scopes("preview")}
    for role in ROLES:
        assert [*read_scopes(role)] == sorted({*read_scopes(role)})


def test_a_busy_balancer_is_no_missing_scope(world: World) -> None:
    """Both are 403; DigitalOcean's words tell them apart, and are shown."""
    api = world.make_target().api
    busy = "Load Balancer can't be updated while it processes previous actions"
    for said, word in (
        (busy, "still at work"),
        ("You are not authorized", "permission is missing"),
    ):
        world.cloud.set_fault("loadBalancers.get", "forbidden", message=said)
        with pytest.raises(Exception, match=word) as caught:
            api.find("load_balancers", lb_id=world.find_balancer()["id"])
        assert said in str(caught.value)
    assert "load_balancer:read" in str(caught.value)


def test_the_droplet_limit_counts_what_the_stack_wants_at_a_time(world: World) -> None:
    """Too little for standbys is a note, too little for a new generation is not ok.

    What the stack has already is not counted twice, what others have is.
    """
    world.make_fleet(replace(WEB, generation="3f2a9c41"), 2)
    world.make_fleet(replace(WEB, stack="prod", generation="3f2a9c41"), 1)
    line = see(world, "droplet limit")
    # Three generations of two servers, a bake, and one droplet of another stack.
    assert line.found == (
        "8 of 25 droplets at most: 1 of others, and web 6 x s-1vcpu-2gb, bake s-1vcpu-1gb"
    )
    line = see(world, "droplet limit", make_demand(servers=8))
    assert (line.status, "set keep: 0" in line.todo) == ("note", True)
    line = see(world, "droplet limit", make_demand(servers=12))
    assert (line.status, line.todo[:5]) == ("not ok", "Fewer")


def test_sizes_have_to_be_in_the_region_with_a_disk_for_images(world: World) -> None:
    """Also the bake's; others that the region has are named."""
    line = see(world, "sizes", sizes={"small": "s-9vcpu-1gb"})
    assert (line.status, line.found) == ("not ok", "size s-9vcpu-1gb: fra1 does not have it")
    assert "fra1 has s-1vcpu-1gb, s-1vcpu-2gb" in line.todo
    line = see(world, "sizes", build_size="large")
    assert "its disk has 50 GB, and images are baked on 160 GB" in line.found
    line = see(world, "sizes", region="nyc1", build_size="large")
    assert "size s-4vcpu-8gb: nyc1 does not have it, and bakes need it" in line.found


def test_a_vpc_of_another_region_is_none(world: World) -> None:
    """The region's default one is taken without the setting."""
    other = next(one["id"] for one in world.find_all("vpcs") if one["region"] == "ams3")
    line = see(world, "network", vpc=other)
    assert (line.status, line.found) == ("not ok", f"there is no VPC {other} in fra1")
    assert see(world, "network", vpc=other, region="ams3").status == "ok"


def test_the_way_to_servers(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's file and this machine's address are looked at as the way needs them."""
    line = see(world, "way to servers", verify_from=["198.51.100.0/24"])
    assert (line.status, OWN in line.found) == ("not ok", True)
    own: dict[str, Any] = {"verify_through": "ssh_config", "ssh_config": str(tmp_path / "config")}
    assert "does not exist" in see(world, "way to servers", **own).found
    (tmp_path / "config").touch()
    assert see(world, "way to servers", **own).status == "ok"

    def fail() -> str:
        raise LaunchError("The address of this machine cannot be found out", todo="Name it.")

    monkeypatch.setattr(readiness, "find_verifier", fail)
    assert see(world, "way to servers", verify_from=[]).status == "not ok"


def test_an_image_that_the_lock_names_may_be_gone(world: World) -> None:
    """So may the lock's entry; either way an update is due."""
    entry = find_image(world)
    assert see(world, "lock", make_demand(starts={"base": entry})).status == "ok"
    for bad in ({}, {**entry, "image": "1"}):
        line = see(world, "lock", make_demand(starts={"base": bad}))
        assert (line.status, line.what) == ("not ok", "lock of base")
        assert "./immutable update base" in line.todo


def test_a_certificate_is_found_by_its_name(world: World) -> None:
    """Not there, not verified yet, for other hosts, and good, also by a wildcard."""
    hosts = make_demand(routes=[Route("web", 0, "shop.example.com")])
    line = see(world, "certificate", hosts, certificate="www")
    assert (line.status, "none with the name www" in line.found) == ("not ok", True)
    body = {"name": "www", "type": "custom", "private_key": "k", "leaf_certificate": "c"}
    made = world.call("POST", "certificates", body)["certificate"]["id"]
    for words, status in (
        ({"state": "pending"}, "not ok"),
        ({"state": "verified", "dns_names": ["www.example.com"]}, "not ok"),
        ({"dns_names": ["*.example.com"]}, "ok"),
        ({"dns_names": ["shop.example.com"]}, "ok"),
    ):
        world.cloud.put("certificates", made, words)
        assert see(world, "certificate", hosts, certificate="www").status == status
