"""What was changed by hand of a fleet on this machine: real disks, small processes."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.haproxy_world import find_free_port
from harness.local_world import ARTIFACT, STACK, make_fleet, start_process
from immutable_servers.contract.values import Route, Scope
from immutable_servers.system.files import write_json
from immutable_servers.system.processes import identify_process, write_process
from immutable_servers.targets.local import LocalTarget, layout
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.machines import Machine
from immutable_servers.targets.local.qemu import EMULATOR

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is missing")
SERVICE = Scope(STACK.project, STACK.stack, "web")
TARGET = LocalTarget({})


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A data folder of the test's own, with two artifacts."""
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        for artifact in (ARTIFACT, "app/000000000002"):
            folder = layout.artifact_dir(artifact)
            folder.mkdir(parents=True)
            disk = str(folder / "disk.qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
        yield


def make_server(folder: Path, artifact: str = ARTIFACT) -> Path:
    """Make a machine's folder with its disk on an artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = Machine(f"web-aaaaaaaa-{folder.name}", artifact, 20000, 80, 512, 1)
    (folder / "machine.json").write_text(json.dumps(asdict(machine)))
    backing = str(layout.artifact_dir(artifact) / "disk.qcow2")
    overlay = str(folder / "overlay.qcow2")
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, overlay]
    subprocess.run(command, check=True)
    return folder


def find() -> list[tuple[str, str]]:
    """Return kind and server of what was changed."""
    return [(one.kind, one.server) for one in TARGET.fleets.find_drift(SERVICE)]


def test_a_fleet_as_it_was_made_has_no_drift() -> None:
    """Its one server runs from its own disk, which lies on the fleet's artifact."""
    server = make_server(make_fleet("web-aaaaaaaa") / "servers/0")
    words = ("-drive", f"file={server}/overlay.qcow2", "-pidfile", f"{server}/pid")
    with start_process(EMULATOR, *words) as process:
        found = identify_process(process.pid, server)
        assert found
        write_process(server / "process.json", found)
        assert find() == []
        make_server(server.with_name("1"))
        assert find() == [("added", "web-aaaaaaaa-1")]
    assert find() == [("stopped", "web-aaaaaaaa-0"), ("added", "web-aaaaaaaa-1")]
    assert TARGET.fleets.find_drift(Scope("shop", "dev", "api")) == []


def test_a_server_that_is_gone_is_missing() -> None:
    """Its folder or its disk: what is left of it does not make it a server."""
    server = make_fleet("web-aaaaaaaa") / "servers/0"
    assert find() == [("missing", "web-aaaaaaaa-0")]
    make_server(server)
    (server / "overlay.qcow2").unlink()
    assert find() == [("missing", "web-aaaaaaaa-0")]


def test_a_server_of_another_artifact_is_told() -> None:
    """By its disk, or by the command line of its process."""
    server = make_server(make_fleet("web-aaaaaaaa") / "servers/0", "app/000000000002")
    assert find() == [("artifact", "web-aaaaaaaa-0"), ("stopped", "web-aaaaaaaa-0")]
    shutil.rmtree(server)
    make_server(server)
    words = ("-drive", "file=/elsewhere/disk.qcow2", "-pidfile", f"{server}/pid")
    with start_process(EMULATOR, *words) as process:
        found = identify_process(process.pid, server)
        assert found
        write_process(server / "process.json", found)
        (drift,) = TARGET.fleets.find_drift(SERVICE)
        assert (drift.kind, drift.detail) == ("artifact", "its process runs from another disk")


def test_a_fleet_that_is_leaving_has_no_drift() -> None:
    """A deletion that died half-way is finished by the next update, not mended."""
    folder = make_fleet("web-aaaaaaaa")
    record = read_record(folder)
    assert record
    write_json(folder / "record.json", {**record.to_plain(), "leaving": True})
    assert find() == []


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is missing")
def test_a_server_of_nobodys_in_the_group_is_told() -> None:
    """The running balancer is asked which servers its group holds."""
    make_server(make_fleet("web-aaaaaaaa") / "servers/0")
    scope = Scope("shop", "dev", "web", "aaaaaaaa")
    TARGET.balancer.start(STACK, [Route("web", find_free_port())])
    try:
        servers = {"web-aaaaaaaa-0": find_free_port(), "stranger": find_free_port()}
        TARGET.balancer.register(scope, "/", servers)
        assert find() == [("stopped", "web-aaaaaaaa-0"), ("group", "stranger")]
    finally:
        TARGET.balancer.stop(STACK)
