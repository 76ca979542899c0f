"""Login windows, probes and the seal on an emulated project, by the real ssh to its machines."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouds.shared.cloud_machine import SSH_PORT
from harness.cloud_world import WEB
from harness.gcp.cloud import PROJECT, REGION, ZONES, find_calls
from harness.gcp.gcp_world import LAUNCH, PLACE, SOON, World
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import FleetSpec
from immutable_servers.errors import LaunchError
from immutable_servers.system.places import data_dir
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.fleets import GcpFleets
from immutable_servers.targets.gcp.names import describe, make_name, read_words
from immutable_servers.targets.gcp.template import WINDOW, read_metadata
from immutable_servers.targets.shared import ssh

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is missing")
SCOPE = replace(WEB, generation="3f2a9c41")
NAME = make_name(SCOPE)
GROUP: Mapping[str, Any] = {"instanceGroupManager": NAME, "region": REGION}
IMAGE = "projects/debian-cloud/global/images/debian-13-trixie-v20261112"
SPEC = FleetSpec(SCOPE, IMAGE, LAUNCH, 1, {})
HERE = "127.0.0.1/32"
"""Where logins come from: every emulated machine has an address of this one's own."""
RENAMED = '#!/bin/sh\nexec {ssh} -p {port} "$@"\n'
"""An ssh that finds the emulated machines' port: only root may listen on the real one's."""
TUNNEL = """\
#!{python}
import json, os, socket, sys, threading, urllib.request
assert sys.argv[1:3] == ["compute", "start-iap-tunnel"], sys.argv
name, words = sys.argv[3], dict(one.partition("=")[::2] for one in sys.argv[5:])
base = os.environ["GOOGLE_COMPUTE_CUSTOM_ENDPOINT"]
path = f"projects/{{words['--project']}}/zones/{{words['--zone']}}/instances/{{name}}"
asked = urllib.request.Request(base + path, headers={{"Authorization": "Bearer emulated"}})
address = json.load(urllib.request.urlopen(asked))["networkInterfaces"][0]["networkIP"]
line = socket.create_connection((address, {port}), 10, ("{iap}", 0))
def send():
    while data := os.read(0, 65536):
        line.sendall(data)
    line.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := line.recv(65536):
    os.write(1, data)
"""
"""What `gcloud compute start-iap-tunnel` does: it asks where the instance is, and goes there."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of programs that come before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_program(folder / "ssh", RENAMED.format(ssh=shutil.which("ssh"), port=SSH_PORT))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def write_program(file: Path, text: str) -> None:
    """Write a program that can be run."""
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def target(
    world: World, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> GcpTarget:
    """Return the target with a fleet of two servers, to which only our own rules let in."""
    del programs
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    target = world.make_target()
    closed = {
        "name": f"{make_name(WEB)}-closed",
        "description": describe(WEB),
        "network": f"{PLACE}/global/networks/default",
        "priority": 65000,
        "denied": [{"IPProtocol": "all"}],
        "targetServiceAccounts": [target.settings.find_account(SCOPE)],
    }
    world.insert("firewalls", closed)
    target.access.make_inspection_key(SCOPE)
    world.make_fleet(SCOPE, 2, key=target.access.make_key(SCOPE))
    world.wait_until_healthy(SCOPE)
    return target


def find_ways(world: World) -> dict[str, dict[str, Any]]:
    """Return the rules for SSH that are ours, by their names."""
    found = world.call("firewalls", "list")["items"]
    return {one["name"]: one for one in found if ends.WINDOW in read_words(one)}


def find_group(world: World) -> dict[str, Any]:
    """Return the generation's group."""
    return world.call("regionInstanceGroupManagers", "get", **GROUP)


def find_instances(world: World) -> dict[str, dict[str, Any]]:
    """Return the instances of all zones by their names."""
    answer = world.call("instances", "aggregatedList")["items"]
    return {one["name"]: one for place in answer.values() for one in place.get("instances", [])}


def test_a_user_s_account_opens_no_machine_of_others(world: World, target: GcpTarget) -> None:
    """Such an account may be on other machines: the rule goes by the servers' own tag."""
    accounts = {WEB.service: "web@others.iam.gserviceaccount.com"}
    settings = target.settings.model_copy(update={"service_accounts": accounts})
    GcpTarget(settings.model_dump()).access.let_in(NAME, SCOPE, int(time.time()) + 60)
    (way,) = find_ways(world).values()
    assert (way.get("targetServiceAccounts"), way["targetTags"]) == (None, [make_name(WEB)])


def test_the_way_is_open_from_launch_to_seal(world: World, target: GcpTarget) -> None:
    """The key lets in while the window is open; the seal leaves no rule and no key, and healing on.

    It is one change of the group, after every server has sealed itself; a sealed one is left alone.
    """
    folder = data_dir() / "gcp" / NAME
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # again, and still one rule
        logins = target.access.open_logins(SCOPE)
        servers = [server.name for server in target.fleets.find_servers(SCOPE)]
        assert [login.server for login in logins] == servers
        (way,) = find_ways(world).values()
        assert (way["name"], way["sourceRanges"]) == (f"{NAME}-ssh", [HERE])
        assert way["targetServiceAccounts"] == [target.settings.find_account(SCOPE)]
        assert 0 < int(read_words(way)[ends.WINDOW]) - time.time() <= LOGIN_WINDOW
    for login in logins:
        assert ssh.run_remote(Path(login.ssh_config), login.server, "true").failure == ""
    said: list[str] = []
    world.cloud.read_new()
    target.access.close_window(SCOPE, said.append)
    events = world.cloud.read_new()
    assert len(find_calls(events, "compute.regionInstanceGroupManagers.patch")) == 1
    order = [one.get("call") or one["event"] for one in events]
    assert order.index("compute.regionInstanceGroupManagers.patch") > order.index("seal")
    assert find_ways(world) == {}
    assert not folder.exists()
    assert said == [f"sealed {', '.join(servers)}"]
    group = find_group(world)
    assert group["allInstancesConfig"]["properties"]["metadata"][WINDOW] == ""
    assert group["instanceLifecyclePolicy"]["defaultActionOnFailure"] == "REPAIR"
    assert target.access.describe_logins(SCOPE) == []
    with pytest.raises(LaunchError, match="closed"):
        target.access.open_logins(SCOPE)
    target.access.close_window(SCOPE, said.append)
    assert find_calls(world.cloud.read_new(), "compute.regionInstanceGroupManagers.patch") == []


def test_over_the_internet_a_host_key_is_known_before_a_login(target: GcpTarget) -> None:
    """It is what the server's serial port shows by Google's API; the real ssh holds it to that."""
    (login, other) = target.access.open_logins(SCOPE)
    config = Path(login.ssh_config)
    assert "StrictHostKeyChecking yes" in config.read_text()
    known = config.with_name("known_hosts")
    keys = known.read_text().splitlines()
    assert [line.split()[0] for line in keys] == [login.server, other.server]
    known.write_text(keys[0].replace(login.server, other.server) + "\n")
    failure = ssh.run_remote(config, login.server, "true").failure
    assert "ost key" in failure


def test_a_server_that_shows_no_host_key_is_not_logged_in_to(
    world: World, target: GcpTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers at its address is nobody then, and no command goes to him."""
    monkeypatch.setattr(GcpFleets, "find_console", lambda _fleets, _instance: "Linux version 6.12")
    target.access.login_seconds = 0
    with pytest.raises(LaunchError, match="host keys of servers are not known") as caught:
        target.access.open_logins(SCOPE)
    assert "serial port" in caught.value.todo
    assert not [one for one in world.cloud.read_new() if one["event"] == "login"]


@pytest.mark.parametrize(
    ("settings", "sources"),
    [
        ({"verify_through": "iap"}, ["35.235.240.0/20"]),
        ({"verify_through": "private", "verify_from": []}, ["10.132.0.0/20"]),
        ({"verify_from": ["203.0.113.7/24"]}, ["203.0.113.0/24"]),
    ],
)
def test_who_is_let_in_goes_with_the_way(
    world: World, settings: Mapping[str, Any], sources: list[str]
) -> None:
    """Google's tunnels, the subnet, or whom the settings name."""
    world.make_target(**settings).access.let_in(NAME, SCOPE, 99)
    (way,) = find_ways(world).values()
    assert sorted(way["sourceRanges"]) == sources


def test_this_machines_address_may_change_while_a_window_is_open(world: World) -> None:
    """Nobody's address but the one that it has now is in the rule."""
    end = int(time.time()) + LOGIN_WINDOW
    for address in ("203.0.113.7/32", "198.51.100.1/32"):
        world.make_target(verify_from=[address]).access.let_in(NAME, SCOPE, end)
        (way,) = find_ways(world).values()
        assert way["sourceRanges"] == [address]
    world.make_target(verify_from=[address]).access.let_in(NAME, SCOPE, end)
    events = world.cloud.read_new()
    made = [len(find_calls(events, f"compute.firewalls.{one}")) for one in ("insert", "patch")]
    assert made == [1, 1]  # what is as it should be is left alone


def test_a_window_that_is_over_is_said(world: World, target: GcpTarget) -> None:
    """Its servers have sealed themselves; stale rules of the stack go as another window opens."""
    target.access.let_in(f"{NAME}-old", SCOPE, int(time.time()) - 1)
    target.access.open_way(SCOPE, int(time.time()) + 60)
    assert find_ways(world).keys() == {f"{NAME}-ssh"}
    world.cloud.pass_by(LOGIN_WINDOW + 1)
    later = time.time() + LOGIN_WINDOW + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        with pytest.raises(LaunchError, match="login window of web-3f2a9c41 is over"):
            target.access.open_logins(SCOPE)


def test_a_server_that_came_late_is_made_again_sealed(world: World, target: GcpTarget) -> None:
    """Nobody has checked one that the group made after the logins were written; the count stays."""
    target.access.open_logins(SCOPE)
    checked = {*find_instances(world)}
    world.call("regionInstanceGroupManagers", "resize", **GROUP, size=3)
    assert wait_until("a third server", SOON, lambda: len(find_instances(world)) == 3, every=0.05)
    (late,) = find_instances(world).keys() - checked
    assert read_metadata(find_instances(world)[late])[WINDOW]
    said: list[str] = []
    target.access.close_window(SCOPE, said.append)
    assert said[0].endswith(f"{late[-4:]}: it came when the others had been checked")

    def is_sealed() -> bool:
        found = find_instances(world)
        return len(found) == 3 and all(
            read_metadata(one)[WINDOW] == "" for name, one in found.items() if name not in checked
        )

    assert wait_until("a sealed server", SOON, is_sealed, every=0.05)
    assert find_group(world)["targetSize"] == 3
    events = world.cloud.read_all()
    assert len(find_calls(events, "compute.regionInstanceGroupManagers.recreateInstances")) == 1
    assert find_calls(events, "compute.regionInstanceGroupManagers.deleteInstances") == []


def test_a_seal_whose_answer_was_lost_is_gone_through_again(
    world: World, target: GcpTarget
) -> None:
    """What was done already stays done."""
    target.access.open_logins(SCOPE)
    world.cloud.set_fault(
        "compute.regionInstanceGroupManagers.patch", "forbidden", code=403, message="not now"
    )
    with pytest.raises(LaunchError):
        target.access.close_window(SCOPE, lambda _line: None)
    assert target.access.has_keys(SCOPE)
    assert target.fleets.groups.find_window_end(SCOPE)
    target.access.close_window(SCOPE, lambda _line: None)
    assert (find_ways(world), target.access.has_keys(SCOPE)) == ({}, False)
    assert target.fleets.groups.find_window_end(SCOPE) == 0


@pytest.mark.usefixtures("target")
def test_through_iap_no_address_is_needed(world: World, programs: Path) -> None:
    """Each server is reached by its name and its zone, and from Google's tunnels alone."""
    iap = f"{world.cloud.network}.250.2"
    text = TUNNEL.format(python=sys.executable, port=SSH_PORT, iap=iap)
    write_program(programs / "gcloud", text)
    private = world.make_target(verify_through="iap", public_addresses=False)
    logins = private.access.open_logins(SCOPE)
    for login in logins:
        answer = ssh.run_remote(Path(login.ssh_config), login.server, "echo in", login.environment)
        assert (answer.said, answer.failure) == ("in\n", "")
    text = Path(logins[0].ssh_config).read_text()
    for name, instance in find_instances(world).items():
        zone = instance["zone"].rpartition("/")[2]
        assert f"  HostName {name}\n" in text
        assert f"--zone={zone} --project={PROJECT}\n" in text
    private.access.close_window(SCOPE, lambda _line: None)
    assert find_ways(world) == {}


def test_a_probe_is_an_instance_that_google_ends_itself(world: World, target: GcpTarget) -> None:
    """It has a key, a rule and an end of its own, serves nobody, and leaves nothing behind."""
    fleet = {*find_instances(world)}
    world.cloud.set_manners(no_room={ZONES[0]: "ZONE_RESOURCE_POOL_EXHAUSTED"})
    said: list[str] = []
    with target.access.start_probe(SPEC, said.append) as login:
        (name,) = find_instances(world).keys() - fleet
        probe = find_instances(world)[name]
        answer = ssh.run_remote(Path(login.ssh_config), login.server, "echo in")
        assert (answer.said, answer.failure) == ("in\n", "")
        assert probe["zone"].endswith(ZONES[1])
        assert probe["scheduling"]["maxRunDuration"] == {"seconds": str(LOGIN_WINDOW)}
        assert probe["scheduling"]["instanceTerminationAction"] == "DELETE"
        assert int(read_words(probe)[ends.PROBE]) > time.time()
        assert probe["labels"]["immutable-service"] == "web"
        assert find_ways(world).keys() == {f"{name}-ssh"}
        assert name not in target.fleets.find_instances(SCOPE)
        target.access.remove_probes(SCOPE)  # its time is not over
        assert name in find_instances(world)
    assert find_instances(world).keys() == fleet
    assert find_ways(world) == {}
    assert said == ["launching a probe"]


def test_a_probe_that_no_zone_has_room_for_leaves_nothing(world: World, target: GcpTarget) -> None:
    """What Google says is said, with what to do."""
    world.cloud.set_manners(no_room=dict.fromkeys(ZONES, "ZONE_RESOURCE_POOL_EXHAUSTED"))
    fleet = {*find_instances(world)}
    with (
        pytest.raises(LaunchError, match="no room") as caught,
        target.access.start_probe(SPEC, lambda _line: None),
    ):
        pass
    assert "more zones" in caught.value.todo
    assert find_instances(world).keys() == fleet
    assert find_ways(world) == {}


def test_a_probe_of_a_killed_run_is_removed_before_the_next(
    world: World, target: GcpTarget
) -> None:
    """Its time is over; that of another service of the stack stays."""
    over = {ends.PROBE: str(int(time.time()) - 1)}
    for scope in (SCOPE, replace(SCOPE, service="api")):
        name = f"{make_name(scope)}-probe-1"
        body = {
            "name": name,
            "description": describe(scope, **over),
            "labels": {"immutable-probe-ends": over[ends.PROBE]},
            "machineType": f"zones/{ZONES[0]}/machineTypes/e2-small",
            "disks": [
                {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": IMAGE}}
            ],
            "networkInterfaces": [{"network": f"{PLACE}/global/networks/default"}],
        }
        world.insert("instances", body, zone=ZONES[0])
    with target.access.start_probe(SPEC, lambda _line: None):
        found = [name for name in find_instances(world) if name.endswith("-probe-1")]
    assert found == [f"{make_name(replace(SCOPE, service='api'))}-probe-1"]
