"""Starts, finds and removes one machine: a folder with all that it is made of.

```
machine.json   what it is: ports, memory, processors
overlay.qcow2  its disk, on the artifact's
launch.cred    its launch data, as a systemd credential in an SMBIOS string (0600)
host-key.cred  its SSH host key, the same
host_key.pub   the key that a login must be answered with
console.log    the end of what it printed
process.json   the identity of its QEMU process
```
A machine outlives the command that started it. Started again it has the same disk; its port is
another where the earlier one is held, so that nobody gets in between.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from immutable_servers.errors import LaunchError, SetupError
from immutable_servers.system import places
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.files import read_json, write_json
from immutable_servers.system.priority import FULL, LESS, set_share
from immutable_servers.system.processes import (
    PROC,
    Process,
    end_process,
    identify_process,
    read_process,
    write_process,
)
from immutable_servers.system.tools import run_tool
from immutable_servers.targets.local import layout, qemu, qmp, walled_qemu
from immutable_servers.targets.local.artifacts import compute_base
from immutable_servers.targets.local.held_ports import find_holders, hold_port, release_ports
from immutable_servers.targets.local.machine_parts import make_host_key, make_overlay, write_launch
from immutable_servers.targets.local.ports import is_free, release_port, reserve_port

_END_SECONDS = 10.0


@dataclass(frozen=True)
class Machine:
    """What a machine is, as its `machine.json` says.

    Attributes:
        ssh_port: The forwarded port of its SSH server; 0 when no route is left.
        base: What `artifacts.compute_base` said of its artifact when its disk was made; empty of a
            machine that an earlier program made.
        kind: QEMU's machine type. Kept, as the kernel's command line is, so that a machine which
            exists is started again as it was made, whatever the program says by then.
        reach: What it can connect to: `nothing`; or `network`, which is what is behind this
            machine's gateway, and networks on this machine's own wires. A machine of before this
            was recorded had a network.
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
    base: str = ""
    reach: Sequence[str] = ("network",)


@dataclass(frozen=True)
class MachineWish:
    """What a machine should be when it is started.

    Attributes:
        launch: The launch data that the server is handed.
        open: Whether its SSH port is forwarded.
        ports: First and last port that it may be given.
        reach: As of `Machine`.
    """

    name: str
    artifact: str
    guest_port: int
    memory: int
    cpus: int
    ports: tuple[int, int]
    launch: Mapping[str, Any]
    open: bool
    reach: Sequence[str] = ("nothing",)


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

    It gets less of the processor than those that serve, until `raise_share`.

    Raises:
        LaunchError: QEMU did not start, with its own words in the facts; or the image was baked
            again since the machine's disk was made on it.
        SetupError: A tool is missing.
    """
    machine = find_machine(folder)
    if machine and find_machine_process(folder):
        if find_pause(folder):
            qmp.resume(find_qmp(folder))
        return machine
    folder.mkdir(parents=True, exist_ok=True)
    base = compute_base(layout.images_dir(), wish.artifact)
    if machine is None:  # What a killed start left may lie on an artifact that is gone.
        (folder / "overlay.qcow2").unlink(missing_ok=True)
    elif is_rebaked(machine, base):
        raise _explain_rebaked(machine)
    make_overlay(folder, wish.artifact)
    machine = _give_ports(folder, machine, wish)
    machine = replace(machine, base=base or machine.base)
    write_json(folder / "machine.json", asdict(machine))
    make_host_key(folder, wish.name)
    write_launch(folder, wish.launch)
    spec = _describe(folder, machine, accelerator)
    for name in ("console.log", "process.json", "pid"):
        # Whoever looks after a kill finds what this start made, or nothing.
        (folder / name).unlink(missing_ok=True)
    command = [*render_start("boot", folder, machine.reach[1:]), *qemu.render_command(spec)[1:]]
    with hold_port(folder, machine.http_port):
        run_tool(command, f"The machine {wish.name} did not start", make_daemon_environment())
    process = identify_process(int(spec.pidfile.read_text()), folder)
    if process:  # Else it ended already, which whoever waits for its health sees.
        write_process(folder / "process.json", process)
        set_share(process.pid, LESS)
    return machine


def is_rebaked(machine: Machine, base: str) -> bool:
    """Return whether a machine's disk was made on another bake of its artifact than `base`.

    `base` is what `artifacts.compute_base` says now; empty, for one that is gone, is no other.
    """
    return bool(machine.base and base) and machine.base != base


def _explain_rebaked(machine: Machine) -> LaunchError:
    return LaunchError(
        f"The server {machine.name} cannot be started again: its image was baked again since",
        facts=[f"Its disk was made on another bake of {machine.artifact}."],
        todo="Run ./immutable up: it makes a new round of the generation.",
    )


def render_start(way: str, folder: Path, neighbours: Sequence[str]) -> list[str]:
    """Return the command that starts QEMU within its walls, without QEMU's arguments.

    Args:
        way: `start` or `boot`, as `walled_qemu.py` takes it.
        folder: Gets the console.
        neighbours: Networks on this machine's own wires that the guest may reach.

    Raises:
        SetupError: There is no QEMU.
    """
    emulator = shutil.which(qemu.EMULATOR)
    if emulator is None:
        raise SetupError(
            f"{qemu.EMULATOR} is missing", todo="Run ./immutable doctor: it names the package."
        )
    # Without site packages: it starts in a few hundredths of a second.
    program = [sys.executable, "-I", "-S", walled_qemu.__file__]
    return [*program, way, str(folder / "console.log"), ",".join(neighbours), emulator]


def raise_share(folder: Path) -> None:
    """Give a machine that serves its full share of the processor."""
    if process := find_machine_process(folder):
        set_share(process.pid, FULL)


def find_pause(folder: Path) -> str:
    """Return why a machine that runs stands still; empty for every other."""
    return qmp.find_pause(find_qmp(folder)) if find_machine_process(folder) else ""


def stop_machine(folder: Path) -> None:
    """End a machine's process; its disk and ports are kept."""
    end_process(find_machine_process(folder), _END_SECONDS)


def release_earlier_ports(folder: Path, machine: Machine) -> None:
    """Hold no other port than the machine's: call it when the balancer has forgotten those."""
    release_ports(folder, find_holders(folder).keys() - {machine.http_port})


def remove_machine(folder: Path) -> None:
    """End a machine and remove all of it; a missing one is no error."""
    stop_machine(folder)
    release_ports(folder)
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
        reaches_out=machine.reach[0] == "network",
        credentials=[folder / "launch.cred", folder / "host-key.cred"],
    )


def _give_ports(folder: Path, machine: Machine | None, wish: MachineWish) -> Machine:
    """Keep the ports that a machine had, where nobody else has taken them."""
    here = machine or _make_machine(wish)
    http = machine.http_port if machine and is_free(machine.http_port) else 0
    ssh = machine.ssh_port if machine and wish.open and is_free(machine.ssh_port) else 0
    for old, kept in ((machine.http_port, http), (machine.ssh_port, ssh)) if machine else ():
        if old != kept:
            release_port(old, folder)
    http = http or reserve_port(folder, wish.ports)
    ssh = ssh or (reserve_port(folder, wish.ports) if wish.open else 0)
    return replace(here, http_port=http, ssh_port=ssh)


def _make_machine(wish: MachineWish) -> Machine:
    """Return a machine without ports."""
    return Machine(
        name=wish.name,
        artifact=wish.artifact,
        http_port=0,
        guest_port=wish.guest_port,
        memory=wish.memory,
        cpus=wish.cpus,
        reach=list(wish.reach),
    )
