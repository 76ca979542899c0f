"""Renders the QEMU command of one machine. Pure: the same inputs give the same command."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from immutable_servers.targets.local.ports import LOOPBACK

ARCHITECTURE = "x86_64"
EMULATOR = f"qemu-system-{ARCHITECTURE}"
MACHINE = "q35"
"""The machine type of new machines."""
KERNEL_ARGS = (
    "root=/dev/vda rw rootfstype=ext4 console=ttyS0 net.ifnames=0 panic=5 "
    "quiet loglevel=4 systemd.show_status=no audit=0 lsm=capability"
)
"""The kernel's command line; a panic restarts the machine after 5 s."""
EMULATION_ARGS = "mitigations=off tsc=reliable no_timer_check"
"""Added under software emulation, where a mitigation costs much and protects nothing."""
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

    @property
    def pidfile(self) -> Path:
        """Where QEMU writes its pid."""
        return self.folder / "pid"

    @property
    def console(self) -> Path:
        """Where the serial console goes."""
        return self.folder / "console.log"


def render_command(spec: MachineSpec) -> list[str]:
    """Return the command that boots a machine into the background, without a display."""
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
        *("-chardev", f"file,id=console,path={_escape(spec.console)},append=on"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{_escape(spec.qmp)},server=on,wait=off"),
        *("-display", "none", "-pidfile", str(spec.pidfile), "-daemonize"),
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
    return ",".join(["user", f"id={NETWORK}", *rules])


def _render_smbios(file: Path) -> str:
    return f"type=11,path={_escape(file)}"


def _escape(path: Path) -> str:
    """Return a path for QEMU's option lists, where a comma is written twice."""
    return str(path).replace(",", ",,")
