"""What is needed of the qcow2 format: its backing file, read from the header without a process.

https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
"""

import struct
from pathlib import Path

from immutable_servers.errors import ImageError, SetupError
from immutable_servers.system.environment import make_environment
from immutable_servers.system.tools import run_stoppable

_MAGIC = b"QFI\xfb"


def read_backing_file(disk: Path) -> Path | None:
    """Return the disk that a disk is an overlay of; None when it stands alone."""
    try:
        with disk.open("rb") as file:
            header = file.read(20)
            if len(header) < 20 or header[:4] != _MAGIC:  # noqa: PLR2004 - the header's length
                return None
            offset, size = struct.unpack(">QI", header[8:20])
            file.seek(offset)
            name = file.read(size).decode() if offset else ""
    except OSError:
        return None
    return (disk.parent / name).resolve() if name else None


def flatten_disk(source: Path, destination: Path) -> None:
    """Copy a disk and its backing files into a disk that stands alone."""
    _run_qemu_img("convert", "-O", "qcow2", str(source), str(destination))


def set_backing_file(disk: Path, backing: str) -> None:
    """Name the disk that an overlay lies on, relative to its own folder; nothing is copied."""
    _run_qemu_img("rebase", "-u", "-F", "qcow2", "-b", backing, str(disk))


def _run_qemu_img(*arguments: str) -> None:
    try:
        done = run_stoppable(["qemu-img", *arguments], "copying a disk", make_environment())
    except FileNotFoundError as error:
        raise SetupError(
            "qemu-img is missing",
            facts=[str(error)],
            todo="Run ./immutable doctor, or install qemu-utils.",
        ) from error
    if done.returncode:
        raise ImageError(
            f"`qemu-img {arguments[0]}` failed",
            facts=[" ".join(arguments), done.stderr.strip()],
            todo="See that the disk has room and that the images are whole, then run it again.",
        )
