"""The guest that proves KVM, as bytes, and how the answer is remembered."""

import struct
from pathlib import Path

import pytest

from immutable_servers.targets.local import accelerator
from immutable_servers.targets.local.accelerator import WORD, find_accelerator, render_initrd


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerator, "DEVICE", device)
    monkeypatch.setattr(accelerator, "_find_version", lambda: "QEMU 7.2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_guest_is_a_program_in_an_archive() -> None:
    """The initrd holds `/init`, an x86-64 program whose entry lies in its one loaded segment.

    It is looked at and never run: its last system call restarts the machine it runs on.
    """
    archive = render_initrd()
    assert archive.startswith(b"070701")
    assert archive[110:115] == b"init\0"
    size = int(archive[54:62], 16)
    program = archive[116 : 116 + size]
    assert program.endswith(f"{WORD}\n".encode())
    kind, machine = struct.unpack_from("<HH", program, 16)
    (entry,) = struct.unpack_from("<Q", program, 24)
    address, _physical, in_file, in_memory = struct.unpack_from("<QQQQ", program, 64 + 16)
    assert (kind, machine) == (2, 62)
    assert in_file == in_memory == len(program)
    assert address <= entry < address + in_file
    assert archive[116 + size :].lstrip(b"\0").startswith(b"070701")


def test_a_device_that_is_missing_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /dev/kvm there is no question to ask."""
    monkeypatch.setattr(accelerator, "DEVICE", tmp_path / "none")
    assert find_accelerator(tmp_path / "no kernel") == "tcg"


@pytest.mark.parametrize(("works", "answer"), [(True, "kvm"), (False, "tcg")])
def test_the_answer_is_asked_once_for_each_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, works: bool, answer: str
) -> None:
    """A guest is run again only when the kernel, QEMU or the host's boot is another one."""
    runs: list[Path] = []

    def run(kernel: Path, *_args: object) -> bool:
        runs.append(kernel)
        return works

    monkeypatch.setattr(accelerator, "run_guest", run)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    second.write_text("2")
    for kernel in (first, first, second, first):
        assert find_accelerator(kernel) == answer
    assert runs == [first, second]
    monkeypatch.setattr(accelerator, "find_boot_id", lambda: "another boot")
    assert find_accelerator(first) == answer
    assert runs == [first, second, first]
