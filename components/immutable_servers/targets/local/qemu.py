"""Renders the QEMU command of one machine. Pure: the same inputs give the same command.

`walled_qemu.py` runs it, and adds the sandbox and, in a way out, the relay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.walled_qemu import CONSOLE

ARCHITECTURE = "x86_64"
EMULATOR = f"qemu-system-{ARCHITECTURE}"
MACHINE = "q35"
"""The machine type of new machines."""
KERNEL_ARGS = (
    "root=/dev/vda rw rootfstype=ext4 console=ttyS0 net.ifnames=0 panic=5 "
    "quiet loglevel=4 systemd.show_status=no audit=0 lsm=capability"
)
"""The kernel's command line; a panic restarts the machine after 5 s."""
EMULATION_ARGS = "mitigations=off no_timer_check"
"""Added under software emulation, where a mitigation costs much and protects nothing.

The kernel goes on watching its clock: on a busy machine it takes the emulated TSC for two to seven
times slower than it is (measured: 4 of 40 boots), and the guest's time runs as much too fast, until
the watchdog compares it with the HPET, which `tsc=reliable` would forbid."""
NETWORK = "net0"
"""The network's id, by which a forwarded port is removed."""


@dataclass(frozen=True)
class MachineSpec:
    """All that a machine's command is made of.

    Attributes:
        folder: The machine's own folder: every process of the machine names it as an argument.
        credentials: Files that hold one SMBIOS string each.
        memory: In MB.
        http_port: The port of 127.0.0.1 that reaches `guest_port`.
        ssh_port: The same for SSH; 0 forwards nothing.
        qmp: The control socket; its path holds at most 107 bytes.
        reaches_out: Whether the guest gets further than to who connects to a forwarded port.
    """

    name: str
    folder: Path
    disk: Path
    kernel: Path
    initrd: Path
    qmp: Path
    memory: int
    cpus: int
    accelerator: str
    http_port: int
    guest_port: int
    ssh_port: int = 0
    credentials: Sequence[Path] = field(default=())
    kind: str = MACHINE
    kernel_args: str = KERNEL_ARGS
    reaches_out: bool = False

    @property
    def pidfile(self) -> Path:
        """Where QEMU writes its pid."""
        return self.folder / "pid"


def render_command(spec: MachineSpec) -> list[str]:
    """Return the command that boots a machine without a display."""
    return [
        *(EMULATOR, "-name", spec.name, "-nodefaults", "-no-user-config"),
        *("-machine", spec.kind, "-m", str(spec.memory), "-smp", str(spec.cpus)),
        *_render_accelerator(spec.accelerator),
        *("-kernel", str(spec.kernel), "-initrd", str(spec.initrd)),
        *("-append", render_kernel_args(spec)),
        *("-drive", f"if=none,id=root,format=qcow2,file={_escape(spec.disk)},discard=unmap"),
        *("-device", "virtio-blk-pci,drive=root"),
        *("-netdev", _render_network(spec)),
        *("-device", f"virtio-net-pci,netdev={NETWORK},romfile="),
        *("-device", "virtio-rng-pci"),
        *(part for file in spec.credentials for part in ("-smbios", _render_smbios(file))),
        *("-chardev", f"file,id=console,path={CONSOLE}"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{_escape(spec.qmp)},server=on,wait=off"),
        *("-display", "none", "-pidfile", str(spec.pidfile)),
    ]


def render_kernel_args(spec: MachineSpec) -> str:
    """Return the kernel's command line."""
    return " ".join([spec.kernel_args, *([EMULATION_ARGS] if spec.accelerator == "tcg" else [])])


def _render_accelerator(accelerator: str) -> list[str]:
    if accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi"]


def _render_network(spec: MachineSpec) -> str:
    forwards = [(spec.http_port, spec.guest_port), (spec.ssh_port, 22)]
    rules = [f"hostfwd=tcp:{LOOPBACK}:{here}-:{there}" for here, there in forwards if here]
    walls = [] if spec.reaches_out else ["restrict=on"]
    return ",".join(["user", f"id={NETWORK}", *walls, *rules])


def _render_smbios(file: Path) -> str:
    return f"type=11,path={_escape(file)}"


def _escape(path: Path) -> str:
    """Return a path for QEMU's option lists, where a comma is written twice."""
    return str(path).replace(",", ",,")
