"""The images on this machine: a folder for each version, found by its name, whole or not at all."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Catalog
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.system.files import write_whole
from immutable_servers.system.half_folders import remove_left_halves
from immutable_servers.targets.local.checksums import SUMS, verify_checksums
from immutable_servers.targets.local.qcow2 import read_backing_file

DISK, KERNEL, INITRD = "disk.qcow2", "vmlinuz", "initrd.img"
FACTS = "image.json"
MANIFEST = "manifest.json"
FILES = (DISK, KERNEL, INITRD, FACTS, MANIFEST)
"""What the checksums cover."""
MARKS = "marks.json"
"""Written after the bake, so outside of the checksums."""


class LocalCatalog(Catalog):
    """Artifacts in `images/<image>/<version>/`; an artifact's id is `<image>/<version>`."""

    def __init__(self, images: Path) -> None:
        self.images = images

    def find(self, image: str, version: str) -> Artifact | None:
        """Return the whole artifact of this version, its parents whole too, or None."""
        artifact = self._read(self.images / image / version)
        if artifact is None:
            return None
        parents = (self._read(self.images / name / at) for name, at in artifact.parents.items())
        return artifact if all(parents) else None

    def list(self) -> Sequence[Artifact]:
        """Return every whole artifact, oldest first."""
        folders = self.images.glob("[!.]*/[!.]*/")
        found = [artifact for folder in folders if (artifact := self._read(folder))]
        return sorted(found, key=lambda artifact: (artifact.facts.get("baked_at", ""), artifact.id))

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Read the file beside the disk."""
        try:
            text = (self.images / artifact.id / MANIFEST).read_text(encoding="utf-8")
            found: dict[str, Any] = json.loads(text)
        except (OSError, ValueError):
            return {}  # it explains, and nothing depends on it
        return found

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark on an artifact; an empty value removes it."""
        folder = self.images / artifact.id
        marks = {**_read_marks(folder), key: value}
        kept = {name: text for name, text in marks.items() if text}
        write_whole(folder / MARKS, json.dumps(kept, indent=2, sort_keys=True) + "\n")

    def delete(self, artifact: Artifact) -> None:
        """Delete an artifact that no other artifact and no server is an overlay of.

        Raises:
            ImageError: Something still refers to it.
        """
        users = [*self._find_children(artifact), *self._find_servers(artifact)]
        if users:
            raise ImageError(
                f"The artifact {artifact.id} cannot be deleted",
                facts=[f"{user} is an overlay of it" for user in users],
                todo="Delete what is named first.",
            )
        folder = self.images / artifact.id
        gone = folder.with_name(f".{folder.name}.0.0")
        if folder.exists():
            folder.rename(gone)  # not whole for a moment is never seen
        shutil.rmtree(gone, ignore_errors=True)
        remove_left_halves(folder.parent)

    def _find_children(self, artifact: Artifact) -> Sequence[str]:
        return [
            child.id
            for child in self.list()
            if child.parents.get(artifact.image) == artifact.version
        ]

    def _find_servers(self, artifact: Artifact) -> Sequence[str]:
        disk = (self.images / artifact.id / DISK).resolve()
        overlays = (self.images.parent / "stacks").rglob("*.qcow2")
        return [str(file) for file in overlays if read_backing_file(file) == disk]

    def _read(self, folder: Path) -> Artifact | None:
        """Return the artifact in a folder when all its files are there."""
        if not all((folder / name).is_file() for name in (*FILES, SUMS)):
            return None
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        except ValueError:
            return None  # damaged: baked again when it is wanted
        return Artifact(
            image=folder.parent.name,
            version=folder.name,
            id=f"{folder.parent.name}/{folder.name}",
            parents=facts.get("parents", {}),
            facts={**facts, "marks": _read_marks(folder)},
        )


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
    for image, version in read_facts(folder).get("parents", {}).items():
        verify_checksums(images / image / version)


def read_facts(folder: Path) -> Mapping[str, Any]:
    """Return what was recorded of an artifact at its bake."""
    found: Mapping[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return found


def _read_marks(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / MARKS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
