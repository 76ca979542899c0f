"""Starts, finds and removes one machine: a folder with all that it is made of.

```
machine.json   what it is: ports, memory, processors
overlay.qcow2  its disk, on the artifact's
launch.cred    its launch data, as a systemd credential in an SMBIOS string (0600)
host-key.cred  its SSH host key, the same
host_key.pub   the key that a login must be answered with
console.log    what it printed
process.json   the identity of its QEMU process
```
A machine outlives the command that started it. Started again it has the same disk and ports.
"""

import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from immutable_servers.errors import ImmutableError, SetupError
from immutable_servers.system import places
from immutable_servers.system.files import read_json, write_json, write_whole
from immutable_servers.system.keys import make_key_pair
from immutable_servers.system.processes import (
    PROC,
    Process,
    end_process,
    identify_process,
    read_process,
    write_process,
)
from immutable_servers.system.tools import run_tool
from immutable_servers.targets.local import layout, qemu, qmp
from immutable_servers.targets.local.ports import is_free, release_port, reserve_port

_END_SECONDS = 10.0
_SMBIOS_LIMIT = 48_000
"""Bytes of launch data: all SMBIOS tables together hold 64 kB, and base64 adds a third."""


@dataclass(frozen=True)
class Machine:
    """What a machine is, as its `machine.json` says.

    Attributes:
        ssh_port: The forwarded port of its SSH server; 0 when no route is left.
        kind: QEMU's machine type. Kept, as the kernel's command line is, so that a machine which
            exists is started again as it was made, whatever the program says by then.
    """

    name: str
    artifact: str
    http_port: int
    guest_port: int
    memory: int
    cpus: int
    ssh_port: int = 0
    kind: str = qemu.MACHINE
    kernel_args: str = qemu.KERNEL_ARGS


@dataclass(frozen=True)
class MachineWish:
    """What a machine should be when it is started.

    Attributes:
        launch: The launch data that the server is handed.
        open: Whether its SSH port is forwarded.
        ports: First and last port that it may be given.
    """

    name: str
    artifact: str
    guest_port: int
    memory: int
    cpus: int
    ports: tuple[int, int]
    launch: Mapping[str, Any]
    open: bool


def require_linux() -> None:
    """Refuse to run machines where there is no QEMU with Linux's processes and locks.

    Raises:
        SetupError: This is not Linux.
    """
    if sys.platform != "linux":
        raise SetupError(
            "The local target needs Linux",
            facts=[f"This machine runs {sys.platform}."],
            todo="Use a Linux machine, or a cloud target; previews and the catalog work here.",
        )


def find_machine(folder: Path) -> Machine | None:
    """Return the machine that a folder holds, or None when it holds none, or half of one."""
    found = read_json(folder / "machine.json")
    if found is None or not (folder / "overlay.qcow2").is_file():
        return None
    return Machine(**found)


def find_machine_process(folder: Path) -> Process | None:
    """Return the identity of a machine's running process, or None."""
    return read_process(folder / "process.json", folder / "pid", folder)


def read_command(process: Process) -> list[str]:
    """Return the arguments of a machine's process; empty when it has ended."""
    try:
        line = (PROC / str(process.pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return line.decode(errors="replace").split("\0")


def start_machine(folder: Path, wish: MachineWish, accelerator: str) -> Machine:
    """Start a machine, made when it is missing; leave a running machine, resume a paused one.

    Raises:
        LaunchError: QEMU did not start; its own words are in the facts.
        SetupError: A tool is missing.
    """
    machine = find_machine(folder)
    if machine and find_machine_process(folder):
        if find_pause(folder):
            qmp.resume(find_qmp(folder))
        return machine
    folder.mkdir(parents=True, exist_ok=True)
    _make_overlay(folder, wish.artifact)
    machine = _give_ports(folder, machine, wish)
    write_json(folder / "machine.json", asdict(machine))
    _make_host_key(folder, wish.name)
    _write_credential(folder / "launch.cred", "immutable.launch", json.dumps(wish.launch).encode())
    spec = _describe(folder, machine, accelerator)
    for name in ("console.log", "process.json", "pid"):
        # Whoever looks after a kill finds what this start made, or nothing.
        (folder / name).unlink(missing_ok=True)
    run_tool(qemu.render_command(spec), f"The machine {wish.name} did not start")
    process = identify_process(int(spec.pidfile.read_text()), folder)
    if process:  # Else it ended already, which whoever waits for its health sees.
        write_process(folder / "process.json", process)
    return machine


def find_pause(folder: Path) -> str:
    """Return why a machine that runs stands still; empty for every other."""
    return qmp.find_pause(find_qmp(folder)) if find_machine_process(folder) else ""


def read_launch(folder: Path) -> dict[str, Any]:
    """Return the launch data that a machine was handed; empty when it was handed none."""
    try:
        text = (folder / "launch.cred").read_text()
    except FileNotFoundError:
        return {}
    handed: dict[str, Any] = json.loads(base64.b64decode(text.partition("=")[2]))
    return handed


def stop_machine(folder: Path) -> None:
    """End a machine's process; its disk and ports are kept."""
    end_process(find_machine_process(folder), _END_SECONDS)


def remove_machine(folder: Path) -> None:
    """End a machine and remove all of it; a missing one is no error."""
    stop_machine(folder)
    found = read_json(folder / "machine.json") or {}
    layout.remove_folder(folder)
    for name in ("http_port", "ssh_port"):
        release_port(found.get(name, 0), folder)


def close_ssh_port(folder: Path) -> None:
    """Note that no route to a machine's SSH server is left: a later start brings none back."""
    machine = find_machine(folder)
    if machine and machine.ssh_port:
        write_json(folder / "machine.json", asdict(replace(machine, ssh_port=0)))
        release_port(machine.ssh_port, folder)


def find_qmp(folder: Path) -> Path:
    """Return the path of a machine's control socket."""
    return places.runtime_dir(folder) / "qmp"


def _describe(folder: Path, machine: Machine, accelerator: str) -> qemu.MachineSpec:
    artifact = layout.artifact_dir(machine.artifact)
    return qemu.MachineSpec(
        name=machine.name,
        folder=folder,
        disk=folder / "overlay.qcow2",
        kernel=artifact / "vmlinuz",
        initrd=artifact / "initrd.img",
        qmp=find_qmp(folder),
        memory=machine.memory,
        cpus=machine.cpus,
        accelerator=accelerator,
        kind=machine.kind,
        kernel_args=machine.kernel_args,
        http_port=machine.http_port,
        guest_port=machine.guest_port,
        ssh_port=machine.ssh_port,
        credentials=[folder / "launch.cred", folder / "host-key.cred"],
    )


def _give_ports(folder: Path, machine: Machine | None, wish: MachineWish) -> Machine:
    """Keep the ports that a machine had, where nobody else has taken them."""
    here = machine or Machine(wish.name, wish.artifact, 0, wish.guest_port, wish.memory, wish.cpus)
    http = machine.http_port if machine and is_free(machine.http_port) else 0
    ssh = machine.ssh_port if machine and wish.open and is_free(machine.ssh_port) else 0
    for old, kept in ((machine.http_port, http), (machine.ssh_port, ssh)) if machine else ():
        if old != kept:
            release_port(old, folder)
    http = http or reserve_port(folder, wish.ports)
    ssh = ssh or (reserve_port(folder, wish.ports) if wish.open else 0)
    return replace(here, http_port=http, ssh_port=ssh)


def _make_overlay(folder: Path, artifact: str) -> None:
    """Make the machine's disk on the artifact's; nobody sees half a disk."""
    overlay = folder / "overlay.qcow2"
    if overlay.exists():
        return
    beside = folder / "overlay.part"
    beside.unlink(missing_ok=True)
    # Relative, so that the data folder can be moved as a whole.
    backing = os.path.relpath(
        layout.artifact_dir(artifact).resolve() / "disk.qcow2", folder.resolve()
    )
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, str(beside)]
    run_tool(create, f"The disk of a machine could not be made on {artifact}")
    beside.replace(overlay)


def _make_host_key(folder: Path, name: str) -> None:
    """Make the server's own SSH host key, once; its private half leaves only as a credential."""
    if (folder / "host-key.cred").exists():
        return
    private = folder / "host_key"
    make_key_pair(private, name)
    _write_credential(folder / "host-key.cred", "immutable.host-key", private.read_bytes())
    private.unlink()


def _write_credential(path: Path, name: str, value: bytes) -> None:
    """Write one SMBIOS string that systemd in the guest takes as a credential.

    Raises:
        ImmutableError: It is larger than SMBIOS tables can hold.
    """
    if len(value) > _SMBIOS_LIMIT:
        raise ImmutableError(
            f"The launch data is too large for a server on local: {len(value)} bytes",
            facts=[f"At most {_SMBIOS_LIMIT} bytes fit."],
            todo="Make the service's env smaller.",
        )
    text = base64.b64encode(value).decode()
    write_whole(path, f"io.systemd.credential.binary:{name}={text}", mode=0o600)
