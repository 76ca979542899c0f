"""Fleets, with an emulator that only pretends: it listens where QEMU would and runs no guest."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.haproxy_world import find_free_port
from immutable_servers.contract.values import FleetSpec, Launch, Route, Scope
from immutable_servers.errors import ImageError, LaunchError, RetirementError
from immutable_servers.system.files import write_json
from immutable_servers.system.processes import end_process
from immutable_servers.targets.local import LocalTarget, fleet_records, layout, machines
from immutable_servers.targets.local.checksums import write_checksums
from immutable_servers.targets.local.machines import find_machine_process, read_launch
from immutable_servers.targets.local.resources import LocalFleetProvider

TOOLS = ("haproxy", "qemu-img", "ssh-keygen")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"one of {TOOLS} is missing"
)

STACK, SCOPE = Scope("demo", "dev"), Scope("demo", "dev", "web", "aaaaaaaa")
FIRST_PORT = 20000 + os.getpid() % 100 * 100
"""Tests run side by side, each with a table of ports of its own."""
TARGET = LocalTarget(
    {"accelerator": "tcg", "boot_deadline": 20, "port_range": [FIRST_PORT, FIRST_PORT + 99]}
)
ARTIFACT = "app/000000000001"

EMULATOR = """\
#!{python}
import http.server, os, re, sys, threading
value = lambda name: sys.argv[sys.argv.index(name) + 1]
fault = open(os.path.join(os.path.dirname(value("-kernel")), "fault")).read()
console = re.search(r"path=([^,]*)", value("-chardev"))[1]
with open(console, "w") as log:
    log.write("booting\\n" + ("Kernel panic - not syncing: no root\\n" if fault == "panic" else ""))
if fault == "refuse":
    sys.exit("the accelerator is not there")
port = int(re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:80", value("-netdev"))[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if fault == "panic" else 200)
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
child = os.fork()
if child:
    with open(value("-pidfile"), "w") as file:
        file.write(str(child))
    os._exit(0)
os.setsid()
for number in range(3):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
server.serve_forever()
"""


def _write_emulator(folder: Path) -> None:
    """Write the pretender; like QEMU's own `-daemonize` it returns once it listens."""
    file = folder / "qemu-system-x86_64"
    file.write_text(EMULATOR.format(python=sys.executable))
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
    return FleetSpec(SCOPE, ARTIFACT, launch, servers, {"order": 1}, key, window_ends)


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


def test_a_dead_server_is_started_again_where_it_was() -> None:
    """It has its disk and its port again; the balancer's group is as before."""
    _launch(_spec(2))
    before = fleet_records.find_machines(SCOPE)
    folder = _kill(0)
    disk = (folder / "overlay.qcow2").stat().st_ino
    assert fleet_records.find_missing(SCOPE, 2) == ["web-aaaaaaaa-0"]
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    assert fleet_records.find_missing(SCOPE, 2) == []
    assert fleet_records.find_machines(SCOPE) == before
    assert (folder / "overlay.qcow2").stat().st_ino == disk


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


def test_a_removed_server_is_made_again() -> None:
    """A folder that is gone is a server that is missing; a new one takes its name."""
    _launch(_spec(2))
    shutil.rmtree(_kill(1))
    assert not fleet_records.find_fleets(SCOPE)["aaaaaaaa"].whole
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].whole


def test_servers_of_a_closed_window_boot_sealed() -> None:
    """New ones and old ones: no key is handed over and no port forwarded, before its time too."""
    _launch(_spec(1, window_ends=int(time.time()) + 1800))
    (machine,) = fleet_records.find_machines(SCOPE).values()
    assert machine.ssh_port
    _kill(0)
    TARGET.access.close_window(SCOPE, lambda _line: None)
    TARGET.fleets.resize(SCOPE, 2, lambda _line: None)
    for folder, machine in fleet_records.find_machines(SCOPE).items():
        assert machine.ssh_port == 0
        assert read_launch(folder)["login_key"] == ""
        assert read_launch(folder)["window_ends"] == 0
        assert read_launch(folder)["env"] == {"GREETING": "hello"}


def test_how_to_log_in_is_said_while_the_window_is_open() -> None:
    """The command names the settings that the target keeps; a sealed fleet has none."""
    _launch(_spec(1, window_ends=int(time.time()) + 1800))
    TARGET.access.make_key(SCOPE)
    (login,) = TARGET.access.describe_logins(SCOPE)
    config = layout.generation_dir(SCOPE) / "ssh_config"
    assert login.command == f"ssh -F {config} web-aaaaaaaa-0"
    assert "Host web-aaaaaaaa-0\n" in config.read_text()
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
    assert trouble[0] == "web-aaaaaaaa-0: its console ends:"
    assert "panic" in trouble[-1]
    assert fleet_records.find_fleets(SCOPE)["aaaaaaaa"].running == 1
    with pytest.raises(LaunchError, match="its kernel panicked"):
        TARGET.fleets.resize(SCOPE, 2, said.append)


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
