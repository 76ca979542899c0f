"""Fleets, with an emulator that only pretends: it listens where QEMU would and runs no guest."""

import json
import math
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from harness.haproxy_world import ask, find_free_port, start_server
from immutable_servers.contract.values import FleetSpec, Launch, Route, Scope
from immutable_servers.errors import ImageError, LaunchError, RetirementError
from immutable_servers.system.files import write_json
from immutable_servers.system.machine import find_machine
from immutable_servers.system.priority import FULL, LESS
from immutable_servers.system.processes import end_process
from immutable_servers.targets.local import (
    LocalTarget,
    consoles,
    fleet_records,
    held_ports,
    layout,
    machines,
)
from immutable_servers.targets.local.checksums import write_checksums
from immutable_servers.targets.local.machine_parts import read_launch
from immutable_servers.targets.local.machines import find_machine_process, read_command
from immutable_servers.targets.local.resources import LocalFleetProvider
from immutable_servers.targets.place import Place
from immutable_servers.targets.questions import wait_until_healthy

TOOLS = ("haproxy", "qemu-img", "ssh-keygen")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"one of {TOOLS} is missing"
)

STACK, SCOPE = Scope("demo", "dev"), Scope("demo", "dev", "web", "aaaaaaaa")
FIRST_PORT = 20000 + os.getpid() % 100 * 100
"""Tests run side by side, each with a table of ports of its own."""
SETTINGS = {"accelerator": "tcg", "boot_deadline": 20, "port_range": [FIRST_PORT, FIRST_PORT + 99]}
TARGET = LocalTarget(SETTINGS)
ARTIFACT = "app/000000000001"

EMULATOR = """\
#!{python}
import http.server, os, re, sys, threading
value = lambda name: sys.argv[sys.argv.index(name) + 1]
fault = open(os.path.join(os.path.dirname(value("-kernel")), "fault")).read()
console = re.search(r"path=([^,]*)", value("-chardev"))[1]
with open(console, "w") as log:
    log.write("booting\\n" + {{"panic": {panic!r}, "unit": {unit!r}}}.get(fault, ""))
if fault == "refuse":
    sys.exit("the accelerator is not there")
port = int(re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:80", value("-netdev"))[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if fault else 200)
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
with open(value("-pidfile"), "w") as file:
    file.write(str(os.getpid()))
control = next(word for word in sys.argv if word.startswith("socket,id=boot,fd="))
os.write(int(control.rpartition("=")[2]), b"greeting\\nanswer\\n")
server.serve_forever()
"""
PANIC = "Kernel panic - not syncing: no root\n"
UNIT = """\
[    8.434195] immutable-seal[139]: own units: app.service=no
[    9.434195] app[150]: cannot read its settings
[    9.500000] systemd[1]: app.service: Failed with result 'exit-code'.
"""


def _write_emulator(folder: Path) -> None:
    """Write the pretender; it answers as QEMU does on its control socket once it listens."""
    file = folder / "qemu-system-x86_64"
    file.write_text(EMULATOR.format(python=sys.executable, panic=PANIC, unit=UNIT))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An artifact and the pretender, in folders of the test's own; yield the artifact's folder."""
    tools = tmp_path / "bin"
    tools.mkdir()
    _write_emulator(tools)
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        artifact = layout.artifact_dir(ARTIFACT)
        artifact.mkdir(parents=True)
        disk = str(artifact / "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
        for name, text in (("vmlinuz", ""), ("initrd.img", ""), ("image.json", "{}")):
            (artifact / name).write_text(text)
        (artifact / "fault").write_text("")
        write_checksums(artifact, ["disk.qcow2", "vmlinuz", "initrd.img", "image.json"])
        yield artifact
        TARGET.balancer.set_traffic(SCOPE, {})
        TARGET.fleets.delete(SCOPE)
        TARGET.balancer.stop(STACK)


def _spec(servers: int = 1, *, window_ends: int = 0) -> FleetSpec:
    launch = Launch("small", 80, "/healthz", {"GREETING": "hello"})
    key = "ssh-ed25519 AAAA test" if window_ends else ""
    people = key and f"{key} of people"
    return FleetSpec(SCOPE, ARTIFACT, launch, servers, {"order": 1}, key, window_ends, people)


def _launch(spec: FleetSpec) -> list[str]:
    said: list[str] = []
    TARGET.fleets.launch(spec, said.append)
    return said


def _find_pids() -> list[int]:
    found = [find_machine_process(folder) for folder in fleet_records.find_machines(SCOPE)]
    return [process.pid for process in found if process]


def _kill(number: int) -> Path:
    folder = list(fleet_records.find_machines(SCOPE))[number]
    end_process(find_machine_process(folder), 10)
    return folder


def test_a_launched_fleet_is_found_whole() -> None:
    """All servers run, each with a port of its own, and the record is kept with them."""
    _launch(_spec(3))
    fleet = fleet_records.find_fleets(SCOPE)["aaaaaaaa"]
    assert (fleet.servers, fleet.running, fleet.whole, fleet.leaving) == (3, 3, True, False)
    assert fleet.record == {"order": 1}
    assert len({machine.http_port for machine in fleet_records.find_machines(SCOPE).values()}) == 3
    assert fleet_records.find_fleets(Scope("demo", "dev", "api")) == {}
    assert fleet_records.find_fleets(Scope("demo", "prod", "web")) == {}


def test_launching_again_adopts_what_runs() -> None:
    """The launch of a fleet that exists touches no server, whatever it is asked for."""
    _launch(_spec(2))
    pids = _find_pids()
    assert _launch(_spec(2, window_ends=int(time.time()) + 1800)) == []
    assert _find_pids() == pids


def test_a_half_launch_is_completed() -> None:
    """A server of a launch that was killed is kept when it was handed what is wanted now."""
    ends = int(time.time()) + 1700
    _launch(_spec(1, window_ends=ends))
    record = layout.generation_dir(SCOPE) / "record.json"
    write_json(record, {**json.loads(record.read_text()), "launched": False})
    pids = _find_pids()
    _launch(_spec(2, window_ends=ends + 60))
    assert len(_find_pids()) == 2
    assert _find_pids()[:1] == pids


def test_a_half_launch_of_an_ended_window_is_made_anew() -> None:
    """A server whose window is nearly over cannot be verified any more."""
    _launch(_spec(1, window_ends=int(time.time()) + 60))
    record = layout.generation_dir(SCOPE) / "record.json"
    write_json(record, {**json.loads(record.read_text()), "launched": False})
    pids = _find_pids()
    ends = int(time.time()) + 1800
    _launch(_spec(1, window_ends=ends))
    assert set(_find_pids()).isdisjoint(pids)
    (folder,) = fleet_records.find_machines(SCOPE)
    assert read_launch(folder)["window_ends"] == ends


def test_a_dead_server_is_started_again_on_its_disk() -> None:
    """Its port is another, since nobody may get in between; the other server is not touched."""
    _launch(_spec(2))
    before = fleet_records.find_machines(SCOPE)
    folder = _kill(0)
    disk = (folder / "overlay.qcow2").stat().st_ino
    assert fleet_records.find_missing(SCOPE, 2) == ["web-aaaaaaaa-0"]
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    assert fleet_records.find_missing(SCOPE, 2) == []
    port = before[folder].http_port
    after = fleet_records.find_machines(SCOPE)
    moved = replace(before[folder], http_port=after[folder].http_port)
    assert after == {**before, folder: moved}
    assert moved.http_port != port
    assert [*held_ports.find_holders(folder)] == [moved.http_port]
    assert (folder / "overlay.qcow2").stat().st_ino == disk


def _listen(port: int, *options: int) -> socket.socket:
    """Listen in the place of a server, as any user of this machine may try."""
    listener = socket.socket()
    for option in options:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _serve_one(port: int) -> int:
    """Have the balancer send all requests to a fleet of one server; return the route's port."""
    TARGET.balancer.start(STACK, [Route("web", port)])
    _launch(_spec(1))
    TARGET.balancer.set_traffic(SCOPE, {"aaaaaaaa": 100})
    assert ask(port, "/")[0] == 200
    (machine,) = fleet_records.find_machines(SCOPE).values()
    return machine.http_port


def test_nobody_takes_the_port_of_a_dead_server() -> None:
    """A server that died is answered for by nobody, until it runs again or is removed."""
    route = find_free_port()
    port = _serve_one(route)
    early = socket.socket()
    early.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reuse, share = socket.SO_REUSEADDR, socket.SO_REUSEPORT
    with pytest.raises(OSError, match="Address already in use"):
        early.bind(("127.0.0.1", port))
    folder = _kill(0)
    for options in ((), (reuse,), (share,), (reuse, share)):
        with pytest.raises(OSError, match="Address already in use"):
            _listen(port, *options)
    assert ask(route, "/")[0] == 503
    # The holder outlives runs that fail, and those that were killed as they started the server.
    assert [*held_ports.find_holders(folder)] == [port]
    TARGET.fleets.resize(SCOPE, 1, lambda _line: None)
    assert ask(route, "/")[0] == 200
    assert port not in held_ports.find_holders(folder)
    _listen(port, reuse).close()


def test_a_port_that_was_bound_before_is_of_no_use() -> None:
    """Whoever binds a port while a server starts, without listening, cannot listen later."""
    folder, port = layout.generation_dir(SCOPE), FIRST_PORT + 98
    folder.mkdir(parents=True)
    early, server = socket.socket(), socket.socket()
    with early, server:
        for each in (early, server):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with held_ports.hold_port(folder, port):
            early.bind(("127.0.0.1", port))
            server.bind(("127.0.0.1", port))
            server.listen()
        server.close()
        with pytest.raises(OSError, match="Address already in use"):
            early.listen()
    held_ports.release_ports(folder)
    _listen(port).close()


def test_a_start_that_fails_holds_no_port(world: Path) -> None:
    """QEMU did not start: its port is anybody's again, and so is no process left."""
    (world / "fault").write_text("refuse")
    with pytest.raises(LaunchError):
        _launch(_spec(1))
    folder = layout.generation_dir(SCOPE) / "servers/0"
    assert held_ports.find_holders(folder) == {}


def test_after_a_restart_of_this_machine_nobody_is_taken_for_a_server() -> None:
    """What listens where servers were is neither healthy for us, nor asked by the balancer."""
    route = find_free_port()
    port = _serve_one(route)
    folder = _kill(0)
    held_ports.release_ports(folder)
    end_process(TARGET.balancer.find_process(STACK), 10)
    with start_server("a stranger", port=port):
        assert ask(port, "/") == (200, "a stranger")
        (health,) = TARGET.fleets.find_health(SCOPE)
        assert (health.ok, health.detail) == (False, "its QEMU process does not run")
        TARGET.balancer.start(STACK, [Route("web", route)])
        assert ask(route, "/")[0] == 503
        TARGET.fleets.resize(SCOPE, 1, lambda _line: None)
        assert ask(route, "/") == (200, "")


def test_a_fleet_keeps_what_it_can_connect_to() -> None:
    """Its servers reach nothing, also those that are made when the settings say otherwise by then.

    A fleet that an earlier version made has a network, as it had, but within walls.
    """
    _launch(_spec(1))
    later = LocalTarget({**TARGET.settings.model_dump(), "servers_reach": "network"})
    later.fleets.resize(SCOPE, 2, lambda _line: None)
    assert find_walls() == ["closed", "closed"]
    folders = [_kill(number) for number in (0, 1)]
    for file in (
        *(folder / "machine.json" for folder in folders),
        folders[0].parents[1] / "record.json",
    ):
        plain = json.loads(file.read_text())
        del plain["reach"]
        write_json(file, plain)
    TARGET.fleets.resize(SCOPE, 3, lambda _line: None)
    assert find_walls() == ["relayed", "relayed", "relayed"]


def find_walls() -> list[str]:
    """Return how the network of each server that runs is walled off."""
    commands = [
        " ".join(read_command(process))
        for folder in fleet_records.find_machines(SCOPE)
        if (process := find_machine_process(folder))
    ]
    kinds = {"id=net0,restrict=on,": "closed", "virtio-net-pci,netdev=net0.card,": "relayed"}
    return [kind for line in commands for word, kind in kinds.items() if word in line]


def test_a_start_that_was_killed_before_it_noted_its_process_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No earlier process's record is in the way of the machine's own pid file."""
    _launch(_spec(1))
    folder = _kill(0)

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(machines, "write_process", die)
        with pytest.raises(KeyboardInterrupt):
            _launch(_spec(1))
    (pid,) = _find_pids()
    _launch(_spec(1))
    assert _find_pids() == [pid]
    assert find_machine_process(folder)


def _bake_again(artifact: Path) -> None:
    """Replace an artifact by another bake of the same version."""
    shutil.rmtree(artifact)
    artifact.mkdir()
    disk = str(artifact / "disk.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -P 0x22 0 64k", disk], check=True, capture_output=True)
    for name, text in (("vmlinuz", ""), ("initrd.img", ""), ("image.json", "{}"), ("fault", "")):
        (artifact / name).write_text(text)
    write_checksums(artifact, ["disk.qcow2", "vmlinuz", "initrd.img", "image.json"])


def test_an_image_that_is_baked_again_does_not_slide_under_a_server(world: Path) -> None:
    """A verified server never starts from other bytes: its fleet is not whole, and says so."""
    _launch(_spec(1))
    shutil.move(world, world.with_name("beside"))
    fleet = fleet_records.find_fleets(SCOPE)["aaaaaaaa"]
    assert (fleet.whole, fleet.rebaked) == (True, False)  # gone is no other: its servers go on
    shutil.move(world.with_name("beside"), world)
    _bake_again(world)
    fleet = fleet_records.find_fleets(SCOPE)["aaaaaaaa"]
    assert (fleet.whole, fleet.rebaked, fleet.running) == (False, True, 1)
    details = [drift.detail for drift in TARGET.fleets.find_drift(SCOPE)]
    assert details == ["its image was baked again under its disk"]
    _kill(0)
    with pytest.raises(LaunchError, match="its image was baked again since"):
        TARGET.fleets.resize(SCOPE, 1, lambda _line: None)
    assert _find_pids() == []


def test_a_machine_of_an_earlier_program_is_taken_as_it_is(world: Path) -> None:
    """Its file does not say on which bake its disk lies; from its next start on it does."""
    _launch(_spec(1))
    file = _kill(0) / "machine.json"
    write_json(file, {k: v for k, v in json.loads(file.read_text()).items() if k != "base"})
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].whole
    TARGET.fleets.resize(SCOPE, 1, lambda _line: None)
    _bake_again(world)
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].rebaked


def test_a_removed_server_is_made_again() -> None:
    """A folder that is gone is a server that is missing; a new one takes its name."""
    _launch(_spec(2))
    shutil.rmtree(_kill(1))
    assert not fleet_records.find_fleets(SCOPE)["aaaaaaaa"].whole
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].whole
    for folder, machine in fleet_records.find_machines(SCOPE).items():
        assert [*held_ports.find_holders(folder)] == [machine.http_port]


def test_servers_of_a_closed_window_boot_sealed() -> None:
    """New ones and old ones: no key is handed over and no port forwarded, before its time too."""
    _launch(_spec(1, window_ends=int(time.time()) + 1800))
    ((folder, machine),) = fleet_records.find_machines(SCOPE).items()
    assert machine.ssh_port
    assert read_launch(folder)["inspection_key"]
    _kill(0)
    TARGET.access.close_window(SCOPE, lambda _line: None)
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    for folder, machine in fleet_records.find_machines(SCOPE).items():
        assert machine.ssh_port == 0
        assert read_launch(folder)["login_key"] == ""
        assert "inspection_key" not in read_launch(folder)
        assert read_launch(folder)["window_ends"] == 0
        assert read_launch(folder)["env"] == {"GREETING": "hello"}


def test_machines_that_are_not_here_are_not_sealed() -> None:
    """A run on another machine that shares the state asks nobody, and says so."""
    with pytest.raises(LaunchError, match="cannot be sealed from here"):
        TARGET.access.close_window(SCOPE, lambda _line: None)


def test_how_to_log_in_is_said_while_the_window_is_open() -> None:
    """The command names the settings that the target keeps; a sealed fleet has none."""
    _launch(_spec(1, window_ends=int(time.time()) + 1800))
    TARGET.access.make_inspection_key(SCOPE)
    TARGET.access.make_key(SCOPE)
    (login,) = TARGET.access.describe_logins(SCOPE)
    config = layout.generation_dir(SCOPE) / "inspection" / "ssh_config"
    assert login.command == f"ssh -F {config} web-aaaaaaaa-0"
    assert "Match originalhost web-aaaaaaaa-0 exec" in config.read_text()
    TARGET.access.delete_key(SCOPE)
    assert TARGET.access.describe_logins(SCOPE) == []


def test_a_fleet_grows_and_shrinks_in_place() -> None:
    """The servers that stay are not touched, and those that go leave nothing."""
    _launch(_spec(1))
    pids = _find_pids()
    TARGET.fleets.resize(SCOPE, 3, lambda _line: None)
    assert len(_find_pids()) == 3
    TARGET.fleets.resize(SCOPE, 1, lambda _line: None)
    assert _find_pids() == pids
    assert len(list((layout.generation_dir(SCOPE) / "servers").iterdir())) == 1


def test_what_serves_is_not_deleted() -> None:
    """A fleet that the balancer points to is refused; without traffic it goes for good."""
    TARGET.balancer.start(STACK, [Route("web", find_free_port())])
    _launch(_spec(2))
    TARGET.balancer.set_traffic(SCOPE, {"aaaaaaaa": 100})
    with pytest.raises(RetirementError, match="100 %"):
        TARGET.fleets.delete(SCOPE)
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 2
    TARGET.balancer.set_traffic(SCOPE, {})
    ports = [machine.http_port for machine in fleet_records.find_machines(SCOPE).values()]
    TARGET.fleets.delete(SCOPE)
    TARGET.fleets.delete(SCOPE)
    assert fleet_records.find_fleets(SCOPE) == {}
    assert not layout.generation_dir(SCOPE).exists()
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_resource_deletes_no_fleet_that_another_has_adopted() -> None:
    """Under `--replace` two resources are of one fleet: the one that was replaced deletes nothing.

    One of an older version has no handle; what it made it deletes, unless it was adopted since.
    """
    spec, provider = _spec(1), LocalFleetProvider()
    for handle, others in (("", ()), ("one", ()), ("two", ("one", ""))):
        TARGET.fleets.launch(spec, lambda _line: None, handle)
        for other in others:
            provider.delete("id", {"scope": SCOPE.to_plain(), "handle": other})
            assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 1
    provider.delete("id", {"scope": SCOPE.to_plain(), "handle": "two"})
    assert fleet_records.find_fleets(SCOPE) == {}
    _launch(spec)
    provider.delete("id", {"scope": SCOPE.to_plain()})
    assert fleet_records.find_fleets(SCOPE) == {}


def test_a_fleet_of_another_machine_is_not_deleted_from_here() -> None:
    """A state that two machines share: nothing is here, and there it goes on running.

    A fleet that an earlier program made does not say where it is.
    """
    props: dict[str, object] = {"scope": SCOPE.to_plain(), "handle": "one"}
    there = {"machine": "0123456789ab", "host": "anna"}
    with pytest.raises(RetirementError, match="runs on another machine") as refused:
        LocalFleetProvider().delete("id", {**props, **there})
    assert "Run the same command on anna." in str(refused.value)
    here = find_machine()
    for known in ({}, {"machine": here.id, "host": here.host}, {"machine": "", "host": "anna"}):
        LocalFleetProvider().delete("id", {**props, **known})


def test_a_half_deletion_is_seen_and_finished() -> None:
    """A fleet marked as leaving is reported so, is not resized, and is deleted to the end."""
    _launch(_spec(2))
    record = layout.generation_dir(SCOPE) / "record.json"
    write_json(record, {**json.loads(record.read_text()), "leaving": True})
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].leaving
    with pytest.raises(LaunchError, match="is gone"):
        TARGET.fleets.resize(SCOPE, 3, lambda _line: None)
    TARGET.fleets.delete(SCOPE)
    assert fleet_records.find_fleets(SCOPE) == {}


def test_a_machine_that_cannot_be_started_is_told_in_qemus_words(world: Path) -> None:
    """The error has QEMU's own words; the next launch, of a mended image, works."""
    (world / "fault").write_text("refuse")
    with pytest.raises(LaunchError, match="the accelerator is not there"):
        _launch(_spec(2))
    assert "aaaaaaaa" in fleet_records.find_fleets(SCOPE)
    (world / "fault").write_text("")
    _launch(_spec(2))
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 2


def test_a_server_that_does_not_serve_stays_for_inspection(world: Path) -> None:
    """A launch says it and goes on, so that the verification records it; growing a fleet fails."""
    (world / "fault").write_text("panic")
    said: list[str] = []
    TARGET.fleets.launch(_spec(1), said.append)
    assert "its kernel panicked; it stays for inspection" in said[-1]
    trouble = TARGET.fleets.find_trouble(SCOPE)
    assert trouble[0] == "web-aaaaaaaa-0: its console says, by unit:"
    assert trouble[-1] == f"kernel: {PANIC.strip()}"
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 1
    with pytest.raises(LaunchError, match="its kernel panicked"):
        TARGET.fleets.resize(SCOPE, 2, said.append)


def test_a_unit_that_failed_for_good_ends_the_wait(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the deadlines of launch and verification, with the unit's own words, once."""
    monkeypatch.setattr(consoles, "_SURE_SECONDS", 0.5)
    (world / "fault").write_text("unit")
    said: list[str] = []
    TARGET.fleets.launch(_spec(2), said.append)
    failed = "app.service failed with result 'exit-code'"
    assert f"does not serve: {failed}; it stays for inspection" in said[-1]
    names = ["web-aaaaaaaa-0", "web-aaaaaaaa-1"]
    assert TARGET.fleets.find_given_up(SCOPE) == dict.fromkeys(names, failed)
    assert TARGET.fleets.find_trouble(SCOPE) == [
        f"{', '.join(names)}: its console says, by unit:",
        "app: cannot read its settings",
        "app.service: Failed with result 'exit-code'.",
    ]
    sick = wait_until_healthy(Place("local", SETTINGS, SCOPE), math.inf)
    assert {one.server for one in sick} == {*names}


def test_a_probe_that_does_not_serve_leaves_its_console(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed at once; what it printed can be read under its generation."""
    monkeypatch.setattr(consoles, "_SURE_SECONDS", 0.5)
    (world / "fault").write_text("unit")
    with (
        pytest.raises(LaunchError, match="app: cannot read its settings"),
        TARGET.access.start_probe(_spec(1), lambda _line: None),
    ):
        pass
    (console,) = TARGET.fleets.find_consoles(SCOPE).items()
    assert console[0] == "web-aaaaaaaa-probe"
    assert "cannot read its settings" in console[1].read_text()


def _find_shares(pids: Sequence[int]) -> set[str]:
    """Return the nice values of the sessions of processes."""
    return {Path(f"/proc/{pid}/autogroup").read_text().split()[-1] for pid in pids}


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel has no autogroup")
def test_what_serves_has_more_of_the_processor(world: Path) -> None:
    """A server that boots has less than those that serve, until it serves itself."""
    (world / "fault").write_text("panic")
    _launch(_spec(1))
    assert _find_shares(_find_pids()) == {str(LESS)}
    TARGET.fleets.delete(SCOPE)
    (world / "fault").write_text("")
    _launch(_spec(2))
    assert len(_find_pids()) == 2
    assert _find_shares(_find_pids()) == {str(FULL)}


def test_a_corrupted_artifact_starts_nothing(world: Path) -> None:
    """A kernel that is not what was baked is found before the first machine."""
    (world / "vmlinuz").write_text("something else")
    with pytest.raises(ImageError, match="vmlinuz"):
        _launch(_spec(1))
    assert fleet_records.find_machines(SCOPE) == {}


def test_a_full_disk_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder, what is free, and what is wanted."""
    full = shutil.disk_usage("/")._replace(free=100 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: full)
    with pytest.raises(LaunchError, match=r"nearly full[\s\S]*100 MB are free, wanted 768 MB"):
        _launch(_spec(1))
    assert fleet_records.find_machines(SCOPE) == {}


def test_two_launches_side_by_side_make_one_fleet() -> None:
    """The second waits for the first and finds its servers."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_launch, [_spec(2), _spec(2)]))
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 2


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A full disk, say, leaves no half file beside the one that was there."""
    folder = tmp_path / "in the way"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        write_json(folder, {})
    assert list(tmp_path.glob(".*")) == []


def test_nothing_secret_is_readable_by_others() -> None:
    """Launch data and host keys are in files of this user alone."""
    TARGET.access.make_key(SCOPE)
    _launch(_spec(1))
    folder = layout.generation_dir(SCOPE)
    secret = [folder / "key", *folder.glob("servers/0/*.cred"), folder / "record.json"]
    assert len(secret) == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in secret)
    assert not (folder / "servers/0/host_key").exists()
