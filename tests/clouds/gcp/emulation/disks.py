"""Files of the disks that have some: QEMU machines run on them, most instances have none."""

from pathlib import Path

from clouds.shared.cloud_guest import keep_files


def find_image_files(folder: Path, image: str) -> Path:
    """Return the folder of an image's files, by the image's name; most have none."""
    return folder / "disks" / image


def find_disk_files(folder: Path, disk: str) -> Path:
    """Return the folder of a disk's files, by the disk's name: a guest's place."""
    return folder / "guests" / disk


def keep_image(folder: Path, disk: str, image: str) -> None:
    """Keep a disk's files as an image's, when the disk has some."""
    files = find_disk_files(folder, disk)
    if files.exists():
        keep_files(files, find_image_files(folder, image))
