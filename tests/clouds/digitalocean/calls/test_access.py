"""Login windows, probes and the seal on an emulated account, by the real ssh to its droplets."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouds.digitalocean.emulation.places import DEBIAN
from clouds.shared.cloud_machine import SSH_PORT
from harness.cloud_world import WEB
from harness.digitalocean.do_world import LAUNCH, World
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import FleetSpec, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.system.places import data_dir
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.digitalocean import DoTarget
from immutable_servers.targets.digitalocean.fleets import name_way
from immutable_servers.targets.digitalocean.names import (
    PROBING,
    list_whose,
    make_name,
    make_tag,
    name_server,
    tag_service,
)
from immutable_servers.targets.shared import ssh

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is missing")
SCOPE = replace(WEB, generation="3f2a9c41")
NAMES = [name_server(SCOPE, number) for number in (1, 2)]
WAY, CONSTANT = name_way(SCOPE), make_name(WEB)
RENAMED = '#!/bin/sh\nexec {ssh} -p {port} "$@"\n'
"""An ssh that finds the emulated droplets' port: only root may listen on the real one's."""


@pytest.fixture
def target(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DoTarget:
    """Return the target with a fleet of two servers, as its launch leaves it."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(RENAMED.format(ssh=shutil.which("ssh"), port=SSH_PORT))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    target = world.make_target()
    target.access.make_inspection_key(SCOPE)
    world.make_fleet(SCOPE, 2, key=target.access.make_key(SCOPE))
    target.access.open_way(SCOPE, target.fleets.groups.find_window_end(SCOPE))
    world.wait_until_healthy(SCOPE)
    return target


def find_firewalls(world: World) -> dict[str, dict[str, Any]]:
    """Return the account's firewalls by name."""
    return {one["name"]: one for one in world.find_all("firewalls")}


def find_rules(firewall: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return who a firewall lets in, by port."""
    return {one["ports"]: one["sources"]["addresses"] for one in firewall["inbound_rules"]}


def make_spec(world: World) -> FleetSpec:
    """Return the spec of a probe of the image that servers have."""
    return FleetSpec(SCOPE, f"fra1:{find_image(world)}", LAUNCH, 1, {})


def find_image(world: World) -> int:
    """Return the id of the image that the account's droplets have."""
    return int(world.call("GET", f"images/{DEBIAN}")["image"]["id"])


def test_the_way_is_open_from_launch_to_seal(world: World, target: DoTarget) -> None:
    """A firewall of its own lets the verifier in; the seal leaves neither it, nor a key, nor a tag.

    The service's constant firewall holds for the droplets all the time.
    """
    folder = data_dir() / "digitalocean" / make_name(SCOPE)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert (folder / "host_key").stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # again, and still one firewall
        logins = target.access.open_logins(SCOPE)
        assert [login.server for login in logins] == NAMES
        assert find_firewalls(world).keys() == {WAY, CONSTANT}
        way = find_firewalls(world)[WAY]
        assert find_rules(way) == {"22": ["127.0.0.0/8"], str(LAUNCH.port): ["127.0.0.0/8"]}
        (found,) = target.access.find_ways(SCOPE)
        assert 0 < int(found.words[ends.WINDOW]) - time.time() <= LOGIN_WINDOW
    for login in logins:
        assert ssh.run_remote(Path(login.ssh_config), login.server, "true").failure == ""
    said: list[str] = []
    target.access.close_window(SCOPE, said.append)
    assert said == [f"sealed {', '.join(NAMES)}"]
    assert find_firewalls(world).keys() == {CONSTANT}
    assert not folder.exists()
    assert target.fleets.groups.find_window_end(SCOPE) == 0
    assert not [one for one in world.find_all("tags") if ends.WINDOW in one["name"]]
    for one in world.find_droplets(SCOPE).values():
        assert tag_service(WEB) in one["tags"]
    assert target.access.describe_logins(SCOPE) == []
    with pytest.raises(LaunchError, match="closed"):
        target.access.open_logins(SCOPE)
    target.access.close_window(SCOPE, said.append)
    assert len(said) == 1


def test_over_the_internet_a_host_key_is_known_before_a_login(target: DoTarget) -> None:
    """It is the one that the launch handed over; the real ssh holds the server to it."""
    login = target.access.open_logins(SCOPE)[0]
    config = Path(login.ssh_config)
    assert "StrictHostKeyChecking yes" in config.read_text()
    known = config.with_name("known_hosts")
    mine = config.with_name("key.pub").read_text().split()[:2]
    known.write_text(f"{login.server} {' '.join(mine)}\n")
    assert "ost key" in ssh.run_remote(config, login.server, "true").failure


def test_without_the_host_key_nobody_logs_in(world: World, target: DoTarget) -> None:
    """Whoever answers at a server's address is nobody then, and no command goes to him."""
    (data_dir() / "digitalocean" / make_name(SCOPE) / "host_key.pub").unlink()
    target.access.login_seconds = 0
    with pytest.raises(LaunchError, match="host keys of servers are not known") as caught:
        target.access.open_logins(SCOPE)
    assert "where a generation is launched" in caught.value.todo
    assert not [one for one in world.cloud.read_new() if one["event"] == "login"]


@pytest.mark.parametrize(
    ("settings", "sources"),
    [
        ({"verify_through": "private", "verify_from": []}, "VPC"),
        ({"verify_from": ["203.0.113.7/24"]}, "203.0.113.0/24"),
    ],
)
def test_who_is_let_in_goes_with_the_way(
    world: World, target: DoTarget, settings: Mapping[str, Any], sources: str
) -> None:
    """The VPC, or whom the settings name; nobody's address but the one that it is now."""
    (usual,) = (one for one in world.find_all("vpcs") if one["region"] == "fra1")
    end = target.fleets.groups.find_window_end(SCOPE)
    world.cloud.read_new()
    for _ in range(2):
        world.make_target(**settings).access.open_way(SCOPE, end)
    wanted = usual["ip_range"] if sources == "VPC" else sources
    assert find_rules(find_firewalls(world)[WAY])["22"] == [wanted]
    calls = [one["call"] for one in world.cloud.read_new() if one["event"] == "api"]
    assert calls.count("firewalls.update") == 1  # what is as it should be is left alone
    assert "firewalls.create" not in calls


def test_a_window_that_is_over_is_said(
    world: World, target: DoTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its servers have sealed themselves; its firewall goes as another window opens."""
    world.cloud.pass_by(LOGIN_WINDOW + 1)
    later = time.time() + LOGIN_WINDOW + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(LaunchError, match="login window of web-3f2a9c41 is over"):
        target.access.open_logins(SCOPE)
    target.access.close_stale_ways(SCOPE)
    assert find_firewalls(world).keys() == {CONSTANT}


def test_a_seal_whose_answer_was_lost_is_gone_through_again(world: World, target: DoTarget) -> None:
    """What was done already stays done, and the window is closed as the last thing."""
    target.access.open_logins(SCOPE)
    world.cloud.set_fault("tags.delete", "server_error", code=500)
    with pytest.raises(LaunchError):
        target.access.close_window(SCOPE, lambda _line: None)
    assert target.access.has_keys(SCOPE)
    assert target.fleets.groups.find_window_end(SCOPE)
    target.access.close_window(SCOPE, lambda _line: None)
    assert (target.access.has_keys(SCOPE), target.fleets.groups.find_window_end(SCOPE)) == (
        False,
        0,
    )


def test_a_droplet_that_nobody_has_checked_is_ended(world: World, target: DoTarget) -> None:
    """One that came after the logins were written is open, and serves nobody."""
    target.access.open_logins(SCOPE)
    end = target.fleets.groups.find_window_end(SCOPE)
    world.make_fleet(SCOPE, 3, key="ssh-ed25519 BBBB", window_ends=end, first=3)
    said: list[str] = []
    target.access.close_window(SCOPE, said.append)
    late = name_server(SCOPE, 3)
    assert said[0] == f"ends {late}: it came when the others had been checked"
    assert [*world.find_droplets(SCOPE)] == NAMES


def test_a_user_s_own_way_has_no_port_for_us(world: World, target: DoTarget) -> None:
    """Through a host of the user's only ssh goes: a droplet is not asked for its health."""
    file = data_dir() / "ssh_config"
    file.write_text("Host bastion\n  HostName 192.0.2.1\n")
    own = world.make_target(verify_through="ssh_config", ssh_config=str(file))
    assert [one.detail for one in own.fleets.find_health(SCOPE)] == [
        "it runs, and no pool has it yet"
    ] * 2
    assert f'Include "{file}"' in Path(own.access.describe_logins(SCOPE)[0].ssh_config).read_text()
    assert target.settings.reach == "public"


def find_probes(world: World) -> list[dict[str, Any]]:
    """Return the droplets that are probes."""
    return [one for one in world.find_all("droplets") if "-probe-" in one["name"]]


def test_a_probe_is_a_droplet_of_no_service(world: World, target: DoTarget) -> None:
    """It has a key, a firewall before it, and an end of its own, and leaves nothing behind."""
    there = {one["name"] for one in world.find_all("tags")}
    said: list[str] = []
    world.cloud.read_new()
    with target.access.start_probe(make_spec(world), said.append) as login:
        (probe,) = find_probes(world)
        answer = ssh.run_remote(Path(login.ssh_config), login.server, "echo in")
        assert (answer.said, answer.failure) == ("in\n", "")
        assert "StrictHostKeyChecking yes" in Path(login.ssh_config).read_text()
        assert tag_service(WEB) not in probe["tags"]
        firewall = find_firewalls(world)[probe["name"]]
        assert find_rules(firewall) == {"22": ["127.0.0.0/8"]}
        for one in world.find_droplets(SCOPE).values():
            assert {*firewall["tags"]}.isdisjoint(one["tags"])
        calls = [one["call"] for one in world.cloud.read_new() if one["event"] == "api"]
        assert calls.index("firewalls.create") < calls.index("droplets.create")
        assert target.fleets.find_instances(SCOPE).keys() == {*NAMES}
        target.access.remove_probes(SCOPE)  # its time is not over
        assert find_probes(world)
    assert find_probes(world) == []
    assert find_firewalls(world).keys() == {WAY, CONSTANT}
    assert {one["name"] for one in world.find_all("tags")} == there
    assert said == ["launching a probe"]


def test_a_probe_that_there_is_no_room_for_leaves_nothing(world: World, target: DoTarget) -> None:
    """What DigitalOcean says is said, with what to do."""
    world.cloud.put("account", "account", {"droplet_limit": 2})
    with (
        pytest.raises(LaunchError) as caught,
        target.access.start_probe(make_spec(world), lambda _line: None),
    ):
        pass
    assert "droplet limit" in " ".join([caught.value.what, *caught.value.facts])
    assert caught.value.todo
    assert find_probes(world) == []
    assert find_firewalls(world).keys() == {WAY, CONSTANT}


def test_a_probe_that_never_runs_is_removed(
    world: World, target: DoTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DigitalOcean has accepted it, and does not come to make it."""
    monkeypatch.setattr("immutable_servers.targets.cloud.calls.WAIT_SECONDS", 0.2)
    world.cloud.keep_new()
    with (
        pytest.raises(LaunchError, match="did not come to droplet"),
        target.access.start_probe(make_spec(world), lambda _line: None),
    ):
        pass
    assert find_probes(world) == []


def test_a_probe_of_a_killed_run_is_removed_before_the_next(world: World, target: DoTarget) -> None:
    """Its time is over; that of another service of the stack stays until the stack's go."""
    over = int(time.time()) - 1
    for scope in (SCOPE, replace(SCOPE, service="api")):
        make_probe(world, target, scope, over)
    with target.access.start_probe(make_spec(world), lambda _line: None):
        found = [one["name"] for one in find_probes(world) if one["name"].endswith("-probe-1")]
    assert found == [f"{make_name(replace(SCOPE, service='api'))}-probe-1"]
    target.access.remove_probes(SCOPE.of_stack)
    assert find_probes(world) == []
    assert len(target.access.find_ways(Scope("", ""))) == 3
    target.access.close_stale_ways(SCOPE)
    assert find_firewalls(world).keys() == {WAY, CONSTANT}


def make_probe(world: World, target: DoTarget, scope: Scope, end: int) -> None:
    """Make what a killed run leaves of a probe."""
    name = f"{make_name(scope)}-probe-1"
    tags = [make_tag(ends.PROBE, scope, str(end)), *list_whose(scope, PROBING)]
    target.fleets.firewalls.open(name, tags, ["127.0.0.1/32"], 22)
    body = {"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": DEBIAN, "tags": tags}
    world.call("POST", "droplets", body)
