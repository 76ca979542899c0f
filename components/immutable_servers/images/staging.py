"""Copies an image's declared files for a bake, so that what is baked is what was hashed.

The target's Packer source comes beside them. It is part of the program, as the plugin is, and
counts in no version.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.identity.copies import copy_entries
from immutable_servers.identity.files import (
    Entry,
    Manifest,
    digest_entries,
    find_entries,
    read_entries,
    spell,
)
from immutable_servers.identity.inputs import (
    ImageInputs,
    find_template,
    read_lock_entry,
    skip_for,
)
from immutable_servers.images.archive import ARCHIVE, write_archive
from immutable_servers.images.order import Order
from immutable_servers.images.template import TARGET_FILE, declares_source
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
    """Copy what counts in an image's version to `destination/template` and `…/inputs.tar`.

    Only content, the executable bit and links are kept; the lock is read, not copied. The target's
    Packer source is staged as `template/_target.pkr.hcl`, unless a template file of the image
    declares a `source` itself: such an image brings plugin, variables and source whole.

    Args:
        project_root: The project's folder.
        settings: The image's own.
        image: Its name.
        target: The target whose files the template's copy holds.
        parent: The parent's artifact, when the image has one.
        destination: An empty folder.

    Returns:
        The inputs with manifests read from the copy of the image's own files, so that their
        version is the version of the copy.

    Raises:
        ImageError: A file cannot be read or copied.
        SettingsError: The lock has no entry for the target, or cannot be read.
    """
    template, staged = find_template(project_root, image), destination / "template"
    entries = find_entries(template, root=project_root, skip=skip_for(target.name))
    copies = {"": _copy(template, entries, staged)}
    for name in settings.sources:
        found = find_entries(project_root / name, root=project_root)
        copies[name] = _copy(project_root / name, found, destination / "sources" / name)
    _refuse_outside_links(image, staged, entries)
    _pack(destination)
    inputs = ImageInputs(
        image=image,
        target=target.name,
        architecture=target.architecture,
        template=copies.pop(""),
        sources=copies,
        variables=dict(settings.variables),
        parent=settings.parent,
        parent_version=parent.version if parent else None,
        lock=read_lock_entry(template, settings, target.name, target.architecture),
    )
    if target.packer_source and not declares_source(destination / "template"):
        _stage_source(target.packer_source, destination / "template")
    return inputs


def _stage_source(source: Path, template: Path) -> None:
    try:
        with (template / TARGET_FILE).open("xb") as file:
            file.write(source.read_bytes())
    except OSError as error:
        raise ImageError(
            f"The target's Packer source could not be copied to {TARGET_FILE} for the bake",
            facts=[error.strerror or str(error)],
            todo="See that the disk has room and that the image has no file of that name.",
        ) from error


def _copy(source: Path, entries: Sequence[Entry], destination: Path) -> Manifest:
    """Copy the entries and return the manifest of the copy, read without a cache."""
    copy_entries(source, entries, destination)
    return digest_entries(destination, read_entries(destination, [one.path for one in entries]))


def _pack(staged: Path) -> None:
    """Pack `files/` of the template and the sources, each an empty folder where there are none."""
    sources, files = staged / "sources", (staged / "template" / "files").resolve()
    if not files.is_dir():
        files = staged / "files"
        files.mkdir()
    sources.mkdir(exist_ok=True)
    write_archive(staged / ARCHIVE, {"files": files, "sources": sources})


def _refuse_outside_links(image: str, template: Path, entries: Sequence[Entry]) -> None:
    """Refuse links that Packer would follow to a file that is not hashed.

    In `files/` any link is welcome: it is one in the image too.
    """
    for entry in entries:
        place = template / os.fsdecode(entry.path)
        inside = Path(os.path.realpath(place)).is_relative_to(template.resolve())
        if entry.link is not None and not entry.path.startswith(b"files/") and not inside:
            raise ImageError(
                f"packer/{image}/{entry.name} leads out of its folder by a link",
                facts=[f"It leads to {spell(entry.link)}, which counts in no version."],
                todo=f"Put the file itself into packer/{image}/.",
            )


@contextmanager
def start_staging(root: Path, order: Order) -> Iterator[Path]:
    """Yield an empty folder for the copy of the inputs, and remove it at the end.

    Its name holds this process's id and start time, so that the next run removes what a killed run
    has left.
    """
    parent = root / PROJECT_FOLDER / "bakes"
    parent.mkdir(parents=True, exist_ok=True)
    remove_left_stagings(root)
    name = f"{order.image}-{order.version}.{make_maker_mark()}."
    with tempfile.TemporaryDirectory(prefix=name, dir=parent) as folder:
        yield Path(folder)


def remove_left_stagings(root: Path) -> None:
    """Remove the copies that killed runs have left in a project."""
    for left in find_left_stagings(root):
        shutil.rmtree(left, ignore_errors=True)


def find_left_stagings(root: Path) -> list[Path]:
    """Return the copies of inputs whose processes are gone; none on a system without `/proc`."""
    folders = sorted((root / PROJECT_FOLDER / "bakes").glob("*.*.*.*"))
    return [folder for folder in folders if is_maker_gone(".".join(folder.name.split(".")[-3:-1]))]
