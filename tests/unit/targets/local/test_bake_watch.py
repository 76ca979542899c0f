"""What a bake is ended for before its deadline."""

from pathlib import Path

import pytest

from harness.local_world import start_process
from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.targets.local import bake_watch
from immutable_servers.targets.local.bake_watch import BakeWatch
from immutable_servers.targets.local.qemu import EMULATOR

WAITING = "==> qemu.local: Waiting for SSH to become available..."


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a half artifact."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "images/app/.0123456789ab.1.2"
    folder.mkdir(parents=True)
    return folder


def test_a_machine_that_ended_before_the_login_ends_the_bake(half: Path) -> None:
    """Its last words are told. One that runs, or that has done its work, is no trouble."""
    (places.runtime_dir(half) / "console.log").write_text("VFS: no root\n")
    disk = f"{half}/output/disk.qcow2"
    with start_process(EMULATOR, "-drive", f"file={disk},if=virtio"):
        BakeWatch(half)(WAITING)
    watch = BakeWatch(half)
    watch("==> qemu.local: Gracefully halting virtual machine...")
    watch("==> qemu.local: Converting hard drive...")
    with (
        start_process("packer-plugin-qemu", f"-var=output={disk}"),
        pytest.raises(ImageError, match=r"ended before Packer could log in[\s\S]*no root"),
    ):
        BakeWatch(half)(WAITING)


def test_a_machine_that_a_provisioner_powers_off_ends_the_bake(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packer waits for its login up to the deadline of the bake; it is told within seconds."""
    monkeypatch.setattr(bake_watch, "_SURE_SECONDS", 0.0)
    watch, working = BakeWatch(half), "    qemu.local: Removed /etc/motd."
    watch("==> qemu.local: Retrieving ISO")  # no machine yet
    with start_process(EMULATOR, "-drive", f"file={half}/output/disk.qcow2,if=virtio"):
        watch(working)
    with pytest.raises(ImageError, match="ended before Packer had done its work"):
        watch(working)


def test_a_kernel_that_panics_ends_the_bake(half: Path) -> None:
    """It would start the machine again and again; a reboot in a provisioner is nobody's trouble."""
    console = places.runtime_dir(half) / "console.log"
    console.write_text("[   40.1] reboot: Restarting system\n")
    with start_process(EMULATOR, "-drive", f"file={half}/output/disk.qcow2,if=virtio"):
        watch = BakeWatch(half)
        watch(WAITING)
        console.write_text(f"{console.read_text()}[    2.1] Kernel panic - not syncing: no init\n")
        with pytest.raises(ImageError, match=r"panicked[\s\S]*no init"):
            watch(WAITING)


def test_a_disk_that_gets_full_ends_the_bake(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is for the servers that run."""
    monkeypatch.setattr(bake_watch, "RESERVE", 1 << 80)
    with pytest.raises(ImageError, match=r"nearly full[\s\S]*kept for servers that run"):
        BakeWatch(half)(WAITING)
