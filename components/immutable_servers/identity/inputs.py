"""Reads the declared inputs of an image from the checkout."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immutable_servers.contract.plain import PlainForm
from immutable_servers.errors import ImageError
from immutable_servers.identity.files import Manifest, Skip, read_manifest
from immutable_servers.identity.upstream_lock import LOCK_FILE, read_lock
from immutable_servers.settings.models import ImageSettings
from immutable_servers.targets import OWN_TARGETS

TARGET_SUFFIX = ".pkr.hcl"
"""`<target>.pkr.hcl` in a template's folder counts on that target only."""


@dataclass(frozen=True)
class ImageInputs(PlainForm):
    """All that counts in an image's version.

    Attributes:
        template: Manifest of `packer/<image>/`, without the lock and other targets' files.
        sources: For each source folder, as declared, its manifest.
        variables: Non-secret template variables.
        parent_version: None for an image without a parent.
        lock: The lock's entry for target and architecture, with its `rebuild` counter.
    """

    image: str
    target: str
    architecture: str
    template: Manifest
    sources: dict[str, Manifest] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    parent_version: str | None = None
    lock: dict[str, Any] = field(default_factory=dict)


def find_template(project_root: Path, image: str) -> Path:
    """Return the folder of an image's template.

    Raises:
        ImageError: There is none.
    """
    folder = project_root / "packer" / image
    if not folder.is_dir():
        raise ImageError(
            f"Image {image} has no template",
            facts=[f"packer/{image} is not a folder of this repository."],
            todo="Make it, or take the image out of the stack file.",
        )
    return folder


def skip_for(target: str) -> Skip:
    """Return a predicate: whether a template file does not count on a target, as the lock.

    The other targets are those of this project, never those that a machine has installed: the same
    tree gives the same version everywhere.
    """
    others = skip_others(target)
    return lambda path: path == LOCK_FILE or others(path)


def skip_others(target: str) -> Skip:
    """Return a predicate: whether a template file is another target's."""
    return {f"{name}{TARGET_SUFFIX}" for name in OWN_TARGETS - {target}}.__contains__


def read_image_inputs(
    project_root: Path,
    image: str,
    settings: ImageSettings,
    *,
    target: str,
    architecture: str,
    parent_version: str | None,
) -> ImageInputs:
    """Return an image's declared inputs, read from the checkout.

    Raises:
        ImageError: A folder is missing, empty or cannot be read.
        SettingsError: The lock has no entry for the target, or cannot be read.
    """
    template = find_template(project_root, image)
    return ImageInputs(
        image=image,
        target=target,
        architecture=architecture,
        template=read_manifest(template, root=project_root, skip=skip_for(target)),
        sources={name: _read_source(project_root, image, name) for name in settings.sources},
        variables=dict(settings.variables),
        parent=settings.parent,
        parent_version=parent_version,
        lock=read_lock_entry(template, settings, target, architecture),
    )


def read_lock_entry(
    template: Path, settings: ImageSettings, target: str, architecture: str
) -> dict[str, Any]:
    """Return the lock's part of the inputs; with a parent, only a raised `rebuild` counter.

    Raises:
        SettingsError: The lock has no entry for the target, or cannot be read.
    """
    lock = read_lock(template)
    if settings.parent is None:
        return lock.entry(target, architecture)
    return {"rebuild": lock.rebuild} if lock.rebuild else {}


def _read_source(project_root: Path, image: str, name: str) -> Manifest:
    folder = project_root / name
    manifest = read_manifest(folder, root=project_root) if folder.is_dir() else {}
    if not manifest:
        raise ImageError(
            f"The source {name} of image {image} holds no file",
            facts=[
                "What .gitignore and .imageignore name is left out.",
                "A submodule is empty before `git submodule update --init`.",
            ],
            todo=f"Put files into {name}, or take it out of images.{image}.sources.",
        )
    return manifest
