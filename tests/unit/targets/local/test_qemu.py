"""The command that boots a machine."""

from dataclasses import replace
from pathlib import Path

from harness.builders import MACHINE
from immutable_servers.targets.local.qemu import render_command

SPEC = replace(
    MACHINE,
    cpus=2,
    http_port=20001,
    ssh_port=20002,
    credentials=[Path("/data/servers/0/launch.cred"), Path("/data/servers/0/host-key.cred")],
    kernel_args="root=/dev/vda",
)

GOLDEN = """\
qemu-system-x86_64
-name web-3f2a9c41-0
-nodefaults
-no-user-config
-machine q35
-m 512
-smp 2
-accel tcg,thread=multi
-kernel /data/images/app/1/vmlinuz
-initrd /data/images/app/1/initrd.img
-append root=/dev/vda mitigations=off no_timer_check
-drive if=none,id=root,format=qcow2,file=/data/servers/0/overlay.qcow2,discard=unmap
-device virtio-blk-pci,drive=root
-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:20001-:80,hostfwd=tcp:127.0.0.1:20002-:22
-device virtio-net-pci,netdev=net0,romfile=
-device virtio-rng-pci
-smbios type=11,path=/data/servers/0/launch.cred
-smbios type=11,path=/data/servers/0/host-key.cred
-chardev file,id=console,path=/dev/fd/99
-serial chardev:console
-qmp unix:/run/x/qmp,server=on,wait=off
-display none
-pidfile /data/servers/0/pid
"""


def _lines(command: list[str]) -> str:
    """Write an option and its value on a line of their own."""
    return " ".join(command).replace(" -", "\n-") + "\n"


def test_the_command_is_the_golden_one() -> None:
    """An open machine is rendered as written down here: a change of it is a new shape."""
    assert _lines(render_command(SPEC)) == GOLDEN


def test_a_sealed_machine_has_no_route_to_ssh() -> None:
    """Without an SSH port only the service's port is forwarded."""
    command = render_command(replace(SPEC, ssh_port=0))
    network = command[command.index("-netdev") + 1]
    assert network == "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:20001-:80"


def test_a_machine_that_reaches_out_is_not_restricted() -> None:
    """Then `walled_qemu.py` puts the relay into its network."""
    command = render_command(replace(SPEC, reaches_out=True))
    assert command[command.index("-netdev") + 1].startswith("user,id=net0,hostfwd=")


def test_kvm_takes_the_hosts_processor() -> None:
    """Under KVM the emulation's arguments are left out."""
    command = render_command(replace(SPEC, accelerator="kvm"))
    assert command[command.index("-accel") :][:4] == ["-accel", "kvm", "-cpu", "host"]
    assert "mitigations=off" not in " ".join(command)


def test_credentials_are_named_by_file() -> None:
    """What is secret is in a file: a command line can be read by everybody on the machine."""
    command = " ".join(render_command(SPEC))
    assert "io.systemd.credential" not in command


def test_a_comma_in_a_path_is_no_option() -> None:
    """QEMU's option lists are split at commas, so one in a path is written twice."""
    command = render_command(replace(SPEC, disk=Path("/da,ta/overlay.qcow2")))
    assert "file=/da,,ta/overlay.qcow2," in " ".join(command)
