"""The files of an artifact, and the check that they are as the bake left them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.targets.local.checksums import SUMS, read_checksums, verify_checksums

DISK, KERNEL, INITRD = "disk.qcow2", "vmlinuz", "initrd.img"
FACTS = "image.json"
MANIFEST = "manifest.json"
FILES = (DISK, KERNEL, INITRD, FACTS, MANIFEST)
"""What the checksums cover."""
MARKS = "marks.json"
"""Written after the bake, so outside of the checksums."""


def verify_artifact(images: Path, artifact: str) -> None:
    """Check the checksums of an artifact and of all its parents; quick when nothing has changed.

    Args:
        images: The folder of all images.
        artifact: Its id, such as `app/3f2a9c41d0e7`.

    Raises:
        ImageError: A file is missing or differs.
    """
    for folder in _find_chain(images, artifact):
        verify_checksums(folder)


def describe_parent(images: Path, parent: str) -> dict[str, str]:
    """Return the checksum of a parent's disk by its path from the artifact that lies on it."""
    return {f"../../{parent}/{DISK}": read_checksums(images / parent)[DISK]}


def is_on_its_parents(folder: Path) -> bool:
    """Return whether the disks below an artifact's are those that it was baked on.

    One that was baked again under the same version is another. An artifact of before this was
    recorded is taken for right.
    """
    try:
        return all(
            read_checksums((folder / name).parent).get(DISK) == digest
            for name, digest in read_checksums(folder).items()
            if name.startswith("../")
        )
    except ImageError:
        return False


def compute_base(images: Path, artifact: str) -> str:
    """Return what differs between two bakes of an artifact or of its parents; empty when gone."""
    try:
        sums = [(folder / SUMS).read_bytes() for folder in _find_chain(images, artifact)]
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(b"\0".join(sums)).hexdigest()


def _find_chain(images: Path, artifact: str) -> Iterator[Path]:
    """Yield the folders of an artifact and of its parents."""
    yield images / artifact
    facts: Mapping[str, Mapping[str, str]] = json.loads(
        (images / artifact / FACTS).read_text(encoding="utf-8")
    )
    for image, version in facts.get("parents", {}).items():
        yield images / image / version
