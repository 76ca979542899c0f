"""What a bake is ended for before its deadline."""

from pathlib import Path

import pytest

from harness.local_world import start_process
from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.targets.local import bake_watch
from immutable_servers.targets.local.bake_watch import watch_bake
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
    (places.runtime_dir(half) / "console.log").write_text("Kernel panic: no root\n")
    disk = f"{half}/output/disk.qcow2"
    with start_process(EMULATOR, "-drive", f"file={disk},if=virtio"):
        watch_bake(half, WAITING)
    watch_bake(half, "==> qemu.local: Converting hard drive...")
    with (
        start_process("packer-plugin-qemu", f"-var=output={disk}"),
        pytest.raises(ImageError, match=r"ended before Packer could log in[\s\S]*no root"),
    ):
        watch_bake(half, WAITING)


def test_a_disk_that_gets_full_ends_the_bake(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is for the servers that run."""
    monkeypatch.setattr(bake_watch, "RESERVE", 1 << 80)
    with pytest.raises(ImageError, match=r"nearly full[\s\S]*kept for servers that run"):
        watch_bake(half, WAITING)
