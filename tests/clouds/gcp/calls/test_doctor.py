"""`doctor` on an emulated project: each line says what was found, and what to do when it is bad."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cloud_world import STACK, WEB
from harness.doctor import ask_one, get_one, make_demand
from harness.gcp.cloud import PROJECT, REGION
from harness.gcp.gcp_world import PLACE, World
from immutable_servers.contract.readiness import Demand, Finding
from immutable_servers.contract.values import Route
from immutable_servers.errors import LaunchError
from immutable_servers.targets.gcp.names import describe, make_name
from immutable_servers.targets.gcp.readiness import places
from immutable_servers.targets.gcp.readiness.places import judge_certificates

OWN = "203.0.113.7/32"
DOMAINS = ["shop.example.com", "www.example.com"]


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
    monkeypatch.setattr(places, "find_verifier", lambda: OWN)


def find_image(world: World) -> str:
    """Return the path of Google's newest image."""
    which = {"project": "debian-cloud", "family": "debian-13"}
    found = world.call("images", "getFromFamily", **which)
    return str(found["selfLink"].partition("/v1/")[2])


def test_a_project_that_has_all_it_needs(world: World) -> None:
    """Every line is ok, but for a token that nothing renews and HTTP without a certificate."""
    starts = {"base": {"image": find_image(world)}}
    target = world.make_target(verify_from=[])
    lines = target.readiness.find_readiness(make_demand(starts=starts))
    notes = {line.what: line.found for line in lines if line.status != "ok"}
    assert notes.keys() == {"credentials", "certificate"}, lines
    assert "nothing renews" in notes["credentials"]
    assert all(line.todo or line.status == "ok" for line in lines)
    said = {line.what: line.found for line in lines}
    assert said["machine types"].startswith("e2-small in europe-west3-a, europe-west3-b")
    assert said["network"].startswith("default, default 10.132.0.0/20, external addresses")
    assert said["way to servers"] == f"public, from {OWN}"
    assert said["lock of base"].endswith("is ACTIVE")


def test_who_is_not_let_in_is_asked_nothing_else(world: World) -> None:
    """No such project or region, an API that is off: Google's words and a way out."""
    for settings, word in (
        ({"project": "no-such-project"}, "no such Google Cloud project"),
        ({"region": "europe-north9"}, "no region europe-north9"),
    ):
        lines = world.make_target(**settings).readiness.find_readiness(make_demand())
        assert (lines[-1].status, word in lines[-1].found) == ("not ok", True), lines
        assert "network" not in {line.what for line in lines}
    world.cloud.disable("compute")
    (line,) = world.make_target().readiness.find_readiness(make_demand())
    assert (line.status, "An API is not enabled" in line.found) == ("not ok", True)
    assert "console" in line.found


def test_apis_that_are_off_are_turned_on_by_one_command(world: World) -> None:
    """IAP and logging are asked about only where they are used."""
    assert see(world, "APIs").found.endswith("serviceusage")
    assert see(world, "APIs", logs=True).found.endswith("logging")
    world.cloud.disable("monitoring")
    line = see(world, "APIs", verify_through="iap")
    assert line.found == "not enabled: monitoring.googleapis.com, iap.googleapis.com"
    wanted = "gcloud services enable monitoring.googleapis.com iap.googleapis.com"
    assert line.todo == f"{wanted} --project {PROJECT}"


def test_permissions_are_held_against_the_files_of_the_roles(world: World) -> None:
    """Each role has a line of its own; what is missing is named, and which file has it."""
    denied = ["compute.images.create", "compute.urlMaps.update", "iap.tunnelInstances.accessViaIAP"]
    world.cloud.deny(*denied)
    assert see(world, "permissions: preview").status == "ok"
    line = see(world, "permissions: bake")
    assert (line.status, line.found) == ("not ok", "missing: compute.images.create")
    assert "bake.yaml" in line.todo
    line = see(world, "permissions: deploy", verify_through="iap")
    assert line.found == f"missing: {', '.join(denied[1:])}"
    assert "deploy.yaml and iap.yaml" in line.todo


def test_a_question_that_is_refused_is_a_line(world: World) -> None:
    """With the permission that it needs; other lines are as they were."""
    world.cloud.deny("compute.subnetworks.list")
    line = see(world, "network")
    assert (line.status, line.todo) == ("not known", "needs compute.subnetworks.list")


def test_quotas_count_what_the_stack_wants_at_a_time(world: World) -> None:
    """Too little for standbys is a note, too little for a new generation is not ok.

    What the stack has already is not counted twice, what others have is; and a quota that Google's
    API does not list is said.
    """
    world.make_fleet(replace(WEB, generation="3f2a9c41"), 2)
    line = see(world, "quotas", make_demand(servers=2))
    assert "CPUS 14 of 72" in line.found  # three generations of two servers, and a bake
    assert "BACKEND_SERVICES 3 of 75" in line.found
    line = see(world, "quotas", make_demand(servers=13))
    assert (line.status, line.found) == ("note", "wanted at most: CPUS 80 of 72")
    assert "set keep: 0" in line.todo
    scaled = see(world, "quotas", make_demand(servers=2), scaling={"web": {"max": 13}})
    assert scaled == line  # under load each generation may have the most
    line = see(world, "quotas", make_demand(servers=20))
    assert (line.status, line.found) == ("not ok", "wanted at most: CPUS 122 of 72")
    assert line.todo.startswith("Fewer")
    line = see(world, "quotas", architecture="arm64")
    assert (line.status, "not listed by Google's API: C4A_CPUS" in line.found) == ("note", True)


def test_machine_types_have_to_be_there_and_of_the_architecture(world: World) -> None:
    """A type that no zone has, and one whose processors would not run the images."""
    line = see(world, "machine types", sizes={"small": "n9-standard-1"})
    assert (line.status, "No zone of the servers has machines" in line.found) == ("not ok", True)
    line = see(world, "machine types", sizes={"small": "c4a-standard-1"})
    assert line.found == "c4a-standard-1 is ARM64"
    assert see(world, "machine types", architecture="arm64").status == "ok"


def test_machines_without_addresses_need_a_way_out(world: World) -> None:
    """A bake installs packages: Google's own services alone are not enough for it."""
    private: dict[str, Any] = {"public_addresses": False, "verify_through": "private"}
    line = see(world, "network", **private)
    assert (line.status, "would not reach the internet" in line.found) == ("not ok", True)
    nat = {
        "name": "nat",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
    }
    network = f"{PLACE}/global/networks/default"
    world.insert("routers", {"name": "out", "network": network, "nats": [nat]}, region=REGION)
    line = see(world, "network", **private)
    assert (line.status, line.found.endswith("a NAT or a way of yours")) == ("ok", True)
    assert "has no subnet mine" in see(world, "network", subnetwork="mine").found


def test_the_way_to_servers(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools, files and this machine's address are looked at as the way needs them."""
    line = see(world, "way to servers", verify_from=["198.51.100.0/24"])
    assert (line.status, OWN in line.found) == ("not ok", True)
    assert see(world, "way to servers", verify_from=["203.0.113.0/24"]).status == "ok"

    def fail() -> str:
        raise LaunchError("The address of this machine cannot be found out", todo="Name it.")

    monkeypatch.setattr(places, "find_verifier", fail)
    assert see(world, "way to servers", verify_from=[]).status == "not ok"
    monkeypatch.setenv("PATH", str(tmp_path))
    line = see(world, "way to servers", verify_through="iap")
    assert (line.status, "lacks gcloud" in line.found) == ("not ok", True)
    gcloud = tmp_path / "gcloud"
    gcloud.touch(0o755)
    assert see(world, "way to servers", verify_through="iap").status == "ok"
    own: dict[str, Any] = {"verify_through": "ssh_config", "ssh_config": str(tmp_path / "config")}
    assert "does not exist" in see(world, "way to servers", **own).found
    (tmp_path / "config").touch()
    assert see(world, "way to servers", **own).status == "ok"
    assert os.environ["PATH"] == str(tmp_path)


def test_an_image_that_the_lock_names_may_be_on_its_way_out(world: World) -> None:
    """A deprecated one can still be used; an obsolete or deleted one, or none, cannot."""
    path = find_image(world)
    name = path.rpartition("/")[2]
    for state, status in (("DEPRECATED", "note"), ("OBSOLETE", "not ok"), ("ACTIVE", "ok")):
        which = {"project": "debian-cloud", "image": name}
        world.call("images", "deprecate", **which, body={"state": state})
        line = see(world, "lock", make_demand(starts={"base": {"image": path}}))
        assert (line.status, line.found) == (status, f"{name} is {state}")
    for entry in ({}, {"image": f"{path}-gone"}):
        line = see(world, "lock", make_demand(starts={"base": entry}))
        assert (line.status, line.what) == ("not ok", "lock of base")
        assert "./immutable update base" in line.todo


def test_a_certificate_is_waited_for_with_what_dns_has_to_say(world: World) -> None:
    """Not made yet, being made, failed, and in use; and it has to be for all hosts."""
    hosts = make_demand(routes=[Route("web", 0, DOMAINS[0])])
    settings = {"certificate": DOMAINS[:1]}
    assert see(world, "certificate", hosts, certificate=DOMAINS[1:]).status == "not ok"
    assert "NOT MADE YET" in see(world, "certificate", hosts, **settings).found
    world.cloud.set_manners(certificates="PROVISIONING")
    body = {"name": make_name(STACK), "description": describe(STACK), "type": "MANAGED"}
    world.insert("sslCertificates", {**body, "managed": {"domains": DOMAINS[:1]}})
    line = see(world, "certificate", hosts, **settings)
    address = world.call("globalAddresses", "get", address=make_name(STACK))["address"]
    assert line.status == "note"
    assert f"The DNS of {DOMAINS[0]} has to say A {address}" in line.todo


@pytest.mark.parametrize(
    ("states", "domains", "status", "found"),
    [
        (("ACTIVE", "ACTIVE"), ("ACTIVE", "ACTIVE"), "ok", "shop.example.com, www.example.com: "),
        (("ACTIVE", "PROVISIONING"), ("ACTIVE", "FAILED_CAA_CHECKING"), "note", "FAILED_CAA_"),
        (("ACTIVE", "PROVISIONING"), ("ACTIVE", "PROVISIONING"), "note", "www.example.com: PROV"),
        (("ACTIVE", "RENEWAL_FAILED"), ("ACTIVE", "FAILED_NOT_VISIBLE"), "not ok", "NOT_VISIBLE"),
        (("ACTIVE",), ("ACTIVE",), "note", "www.example.com: NOT MADE YET"),
    ],
)
def test_the_state_of_certificates(
    states: Sequence[str], domains: Sequence[str], status: str, found: str
) -> None:
    """Each domain has one: that of another says nothing. The address for its DNS is named."""
    made = [
        {"status": state, "domains": [domain], "domainStatus": {domain: said}}
        for state, domain, said in zip(states, DOMAINS, domains, strict=False)
    ]
    line = judge_certificates("certificate", DOMAINS, made, "203.0.113.9")
    assert (line.status, found in line.found) == (status, True), line
    assert status == "ok" or "of www.example.com has to say A 203.0.113.9" in line.todo
    assert ("given up www.example.com" in line.todo) == (states[-1] == "RENEWAL_FAILED")
