"""The images on this machine: a folder for each version, found by its name, whole or not at all."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.contract.images import Images, Packer, make_in_use
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.system.files import write_whole
from immutable_servers.system.half_folders import remove_left_halves
from immutable_servers.system.processes import make_maker_mark
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.artifacts import (
    DISK,
    FACTS,
    FILES,
    MANIFEST,
    MARKS,
    is_on_its_parents,
)
from immutable_servers.targets.local.bake import bake_image
from immutable_servers.targets.local.checksums import SUMS
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.machines import require_linux
from immutable_servers.targets.local.qcow2 import read_backing_file
from immutable_servers.targets.local.qemu import ARCHITECTURE
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.local.upstream import DEFAULT_SUITE, find_upstream


class LocalImages(Images):
    """Artifacts in `images/<image>/<version>/`; an artifact's id is `<image>/<version>`."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings

    def _find(self, image: str, version: str) -> Artifact | None:
        """Return the artifact when all its files are there, and those that it was baked on."""
        artifact = _read(layout.images_dir() / image / version)
        if artifact is None:
            return None
        parents = (_read(layout.images_dir() / name / at) for name, at in artifact.parents.items())
        whole = all(parents) and is_on_its_parents(layout.artifact_dir(artifact.id))
        return artifact if whole else None

    def list(self) -> Sequence[Artifact]:
        """Return every artifact whose files are all there, oldest first."""
        folders = layout.images_dir().glob("[!.]*/[!.]*/")
        found = [artifact for folder in folders if (artifact := _read(folder))]
        return sorted(found, key=lambda artifact: (artifact.facts.get("baked_at", ""), artifact.id))

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Read the file beside the disk."""
        try:
            text = (layout.artifact_dir(artifact.id) / MANIFEST).read_text(encoding="utf-8")
            found: dict[str, Any] = json.loads(text)
        except (OSError, ValueError):
            return {}  # it explains, and nothing depends on it
        return found

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write the file of marks; an empty value removes one."""
        folder = layout.artifact_dir(artifact.id)
        marks = {**_read_marks(folder), key: value}
        kept = {name: text for name, text in marks.items() if text}
        write_whole(folder / MARKS, json.dumps(kept, indent=2, sort_keys=True) + "\n")

    def find_upstream(
        self, image_settings: Mapping[str, Any], known: Mapping[str, Any], say: Say
    ) -> dict[str, Any]:
        """Ask Debian's archive which release the suite has now."""
        upstream = image_settings.get("upstream") or {}
        return find_upstream(upstream.get("suite", DEFAULT_SUITE), ARCHITECTURE, known, say)

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Bake in a QEMU machine, into a folder that is renamed into place when it is whole."""
        require_linux()
        bake_image(request, packer, self.settings)

    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        """Look for overlays of its disk, those of bakes under way too, and for fleets' records."""
        disk = (layout.artifact_dir(artifact.id) / DISK).resolve()
        overlays = [
            *layout.stacks_dir().rglob("*.qcow2"),
            *layout.images_dir().glob("*/.*/**/*.qcow2"),
        ]
        fleets = layout.stacks_dir().glob("*/*/generations/*/")
        return [
            *(f"{file} lies on it" for file in overlays if read_backing_file(file) == disk),
            *(f"the fleet in {one} is made of it" for one in fleets if _is_made_of(artifact, one)),
        ]

    def measure(self, artifact: Artifact) -> int:
        """Measure its folder."""
        return layout.measure(layout.artifact_dir(artifact.id))

    def _delete(self, artifact: Artifact) -> None:
        """Take it out of its place, where nobody finds it, look a last time, and remove it."""
        folder = layout.artifact_dir(artifact.id)
        gone = folder.with_name(f".{folder.name}.{make_maker_mark()}")
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        if users := self.find_servers(artifact):
            gone.rename(folder)
            raise make_in_use(artifact, users)
        shutil.rmtree(gone, ignore_errors=True)
        remove_left_halves(folder.parent)


def _is_made_of(artifact: Artifact, fleet: Path) -> bool:
    record = read_record(fleet)
    return record is not None and record.spec.artifact == artifact.id


def _read(folder: Path) -> Artifact | None:
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
        digest=str(facts.get("digest") or ""),
    )


def _read_marks(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / MARKS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
