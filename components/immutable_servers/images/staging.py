"""Copies an image's declared files, so that what is baked is what was hashed."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.identity.files import (
    Entry,
    Manifest,
    digest_entries,
    find_all_entries,
    find_entries,
)
from immutable_servers.identity.inputs import (
    ImageInputs,
    find_template,
    read_lock_entry,
    skip_for,
)
from immutable_servers.images.order import Order
from immutable_servers.settings.models import ImageSettings
from immutable_servers.system.places import PROJECT_FOLDER
from immutable_servers.system.processes import is_maker_gone, make_maker_mark


def stage_image(
    project_root: Path,
    settings: ImageSettings,
    image: str,
    target: Target,
    parent: Artifact | None,
    destination: Path,
) -> ImageInputs:
    """Copy what counts in an image's version to `destination/template` and `…/sources/<name>`.

    Only content, the executable bit and links are kept; the lock is read, not copied.

    Args:
        project_root: The repository's root.
        settings: The image's own.
        image: Its name.
        target: Whose sources the template's copy holds.
        parent: The parent's artifact, when the image has one.
        destination: Made when missing; holds neither `template` nor `sources`.

    Returns:
        The inputs with manifests read from the copy: their version is the version of the copy.

    Raises:
        ImageError: A file cannot be read or copied.
        SettingsError: The lock has no entry for the target, or cannot be read.
    """
    template, sources = find_template(project_root, image), destination / "sources"
    entries = find_entries(template, root=project_root, skip=skip_for(target.name))
    sources.mkdir(parents=True)
    return ImageInputs(
        image=image,
        target=target.name,
        architecture=target.architecture,
        template=_copy(template, entries, destination / "template"),
        sources={
            name: _copy(
                project_root / name,
                find_entries(project_root / name, root=project_root),
                sources / name,
            )
            for name in settings.sources
        },
        variables=dict(settings.variables),
        parent=settings.parent,
        parent_version=parent.version if parent else None,
        lock=read_lock_entry(template, settings, target.name, target.architecture),
    )


def _copy(source: Path, entries: Sequence[Entry], destination: Path) -> Manifest:
    """Copy the entries; read the copy anew, with nothing left out and no digest from the cache."""
    destination.mkdir(parents=True)
    for entry in entries:
        place = os.fsencode(destination) + b"/" + entry.path
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
            _copy_entry(os.fsencode(source) + b"/" + entry.path, entry, place)
        except OSError as error:
            raise ImageError(
                f"{source.name}/{entry.name} could not be copied for the bake",
                facts=[error.strerror or str(error)],
                todo="See that the disk has room and that no other program changes the file.",
            ) from error
    return digest_entries(destination, find_all_entries(destination))


def _copy_entry(file: bytes, entry: Entry, place: bytes) -> None:
    if entry.link is not None:
        os.symlink(entry.link, place)  # noqa: PTH211 - bytes
        return
    shutil.copyfile(file, place, follow_symlinks=False)
    os.chmod(place, 0o755 if entry.executable else 0o644)  # noqa: PTH101 - bytes


@contextmanager
def start_staging(root: Path, order: Order) -> Iterator[Path]:
    """Yield an empty folder for the copy of the inputs; it goes at the end.

    Its name says who made it, so that what a killed run has left is removed by the next one.
    """
    parent = root / PROJECT_FOLDER / "bakes"
    parent.mkdir(parents=True, exist_ok=True)
    remove_left_stagings(root)
    name = f"{order.image}-{order.version}.{make_maker_mark()}."
    with tempfile.TemporaryDirectory(prefix=name, dir=parent) as folder:
        yield Path(folder)


def remove_left_stagings(root: Path) -> None:
    """Remove the copies that runs which are gone have left in a project."""
    for left in find_left_stagings(root):
        shutil.rmtree(left, ignore_errors=True)


def find_left_stagings(root: Path) -> list[Path]:
    """Return the copies of inputs whose runs are gone; none where there is no `/proc` to ask."""
    folders = sorted((root / PROJECT_FOLDER / "bakes").glob("*.*.*.*"))
    return [one for one in folders if is_maker_gone(".".join(one.name.split(".")[-3:-1]))]
