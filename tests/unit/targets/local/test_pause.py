"""Machines that stand still, with a real QEMU that runs no guest."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.local_world import ARTIFACT, STACK, make_fleet
from immutable_servers.contract.values import Scope
from immutable_servers.system.files import write_json
from immutable_servers.system.processes import end_process
from immutable_servers.targets.local import LocalTarget, fleet_records, layout, qmp
from immutable_servers.targets.local.machines import (
    Machine,
    MachineWish,
    find_machine_process,
    find_pause,
    find_qmp,
    start_machine,
)
from immutable_servers.targets.local.qemu import EMULATOR

pytestmark = pytest.mark.skipif(not shutil.which(EMULATOR), reason="QEMU is missing")
SCOPE = Scope(STACK.project, STACK.stack, "web", "aaaaaaaa")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the folder of a machine that runs."""
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        folder = make_fleet("web-aaaaaaaa") / "servers/0"
        disks = layout.artifact_dir(ARTIFACT) / "disk.qcow2", folder / "overlay.qcow2"
        disks[0].parent.mkdir(parents=True)
        create = ["qemu-img", "create", "-q", "-f", "qcow2"]
        subprocess.run([*create, str(disks[0]), "1M"], check=True)
        backing = ["-F", "qcow2", "-b", *map(str, disks)]
        subprocess.run([*create, *backing], check=True)
        write_json(
            folder / "machine.json", asdict(Machine("web-aaaaaaaa-0", ARTIFACT, 20000, 80, 512, 1))
        )
        command = [EMULATOR, "-machine", "none", "-display", "none", "-daemonize"]
        files = [
            "-pidfile",
            str(folder / "pid"),
            "-qmp",
            f"unix:{find_qmp(folder)},server=on,wait=off",
        ]
        disk = ["-drive", f"if=none,file={disks[1]}"]
        subprocess.run([*command, *files, *disk], check=True)
        yield folder
        end_process(find_machine_process(folder), 10)


def test_a_paused_machine_is_told_and_goes_on_with_the_next_start(server: Path) -> None:
    """It is not made again, nor booted; one without a process says nothing."""
    wish = MachineWish("web-aaaaaaaa-0", ARTIFACT, 80, 512, 1, (20000, 20001), {}, open=False)
    assert (find_pause(server), fleet_records.find_paused(SCOPE)) == ("", {})
    process = find_machine_process(server)
    qmp._execute(find_qmp(server), "stop", {})
    assert fleet_records.find_paused(SCOPE) == {"web-aaaaaaaa-0": "somebody paused it"}
    assert fleet_records.find_missing(SCOPE, 1) == []
    (drift,) = LocalTarget({}).fleets.find_drift(SCOPE)
    assert (drift.kind, drift.detail) == ("paused", "somebody paused it")
    start_machine(server, wish, "tcg")
    assert find_machine_process(server) == process
    assert fleet_records.find_paused(SCOPE) == {}
    end_process(process, 10)
    assert find_pause(server) == ""
