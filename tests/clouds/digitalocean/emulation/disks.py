"""Files of the disks that have some: QEMU machines run on them, most droplets have none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clouds.shared.cloud_guest import keep_files


def find_image_files(folder: Path, image: Mapping[str, Any]) -> Path:
    """Return the folder of an image's files, by its slug or its id; most have none."""
    return folder / "disks" / str(image["slug"] or image["id"])


def find_disk_files(folder: Path, droplet: object) -> Path:
    """Return the folder of the files of a droplet's disk, by the droplet's id: a guest's place."""
    return folder / "guests" / str(droplet)


def keep_image(folder: Path, droplet: object, image: Mapping[str, Any]) -> None:
    """Keep the files of a droplet's disk as an image's, when it has some."""
    files = find_disk_files(folder, droplet)
    if files.exists():
        keep_files(files, find_image_files(folder, image))
