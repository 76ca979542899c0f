"""Checksums of a folder."""

import os
from pathlib import Path

import pytest

from immutable_servers.errors import ImageError
from immutable_servers.targets.local import checksums
from immutable_servers.targets.local.checksums import STAMP, SUMS, verify_checksums, write_checksums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("disk.qcow2", "vmlinuz"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_checksums(tmp_path, ["disk.qcow2", "vmlinuz"])
    return tmp_path


def test_whole_folder_passes(folder: Path) -> None:
    """What was written is found right."""
    verify_checksums(folder)


def test_changed_byte_is_found(folder: Path) -> None:
    """A byte that differs is found, also after the folder was found right before."""
    verify_checksums(folder)
    with (folder / "disk.qcow2").open("r+b") as file:
        file.write(b"X")
    os.utime(folder / "disk.qcow2", ns=(1, 1))
    with pytest.raises(ImageError, match=r"disk\.qcow2 is missing, or is not what was baked"):
        verify_checksums(folder)
    with pytest.raises(ImageError):
        verify_checksums(folder)


def test_missing_file_is_found(folder: Path) -> None:
    """A file that is gone is named."""
    (folder / "vmlinuz").unlink()
    with pytest.raises(ImageError, match="vmlinuz is missing"):
        verify_checksums(folder)


def test_folder_without_checksums_is_refused(folder: Path) -> None:
    """Without checksums nothing can be right."""
    (folder / SUMS).unlink()
    with pytest.raises(ImageError, match="no usable checksums"):
        verify_checksums(folder)


def test_unchanged_files_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second check reads no file: a launch does not wait for it."""
    verify_checksums(folder)

    def refuse(file: Path) -> str:
        raise AssertionError(file)

    monkeypatch.setattr(checksums, "_digest", refuse)
    verify_checksums(folder)


def test_new_checksums_are_not_believed_unread(folder: Path) -> None:
    """Checksums that were changed after the last check make everything be read again."""
    verify_checksums(folder)
    assert (folder / STAMP).exists()
    text = (folder / SUMS).read_text()
    (folder / SUMS).write_text(text.replace(text[:8], "00000000"))
    with pytest.raises(ImageError):
        verify_checksums(folder)


def test_checksums_are_those_of_sha256sum(folder: Path) -> None:
    """The file is in the form that `sha256sum --check` reads."""
    lines = (folder / SUMS).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["disk.qcow2", "vmlinuz"]
    assert all(len(line.split("  ")[0]) == 64 for line in lines)
