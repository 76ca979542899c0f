"""The files of an artifact, and the check that they are as the bake left them."""

import json
from pathlib import Path

from immutable_servers.targets.local.checksums import verify_checksums

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
    folder = images / artifact
    verify_checksums(folder)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    for image, version in facts.get("parents", {}).items():
        verify_checksums(images / image / version)
