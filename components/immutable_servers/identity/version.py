"""Computes the version of an image: a digest of its declared inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.identity.canonical import compute_digest
from immutable_servers.identity.inputs import ImageInputs, read_image_inputs
from immutable_servers.settings.models import ImageSettings, Settings

FORMAT = 1
"""Raised when what is hashed, or how, changes: every image is then baked again."""
DIGITS = 12


@dataclass(frozen=True)
class ImageVersion:
    """An image's version and what it was computed from."""

    version: str
    inputs: ImageInputs


def compute_version(inputs: ImageInputs) -> str:
    """Return 12 hex digits over an image's declared inputs."""
    what = f"image {inputs.image}"
    return compute_digest({"format": FORMAT, **inputs.to_plain()}, what)[:DIGITS]


def compute_versions(
    project_root: Path, settings: Settings, architecture: str
) -> dict[str, ImageVersion]:
    """Return the version of every image of a stack, parents before their children.

    Raises:
        ImageError: As `read_image_inputs`.
        SettingsError: As `read_image_inputs`.
    """
    versions: dict[str, ImageVersion] = {}
    for image in _sort(settings.images):
        chosen = settings.images[image]
        inputs = read_image_inputs(
            project_root,
            image,
            chosen,
            target=settings.target,
            architecture=architecture,
            parent_version=versions[chosen.parent].version if chosen.parent else None,
        )
        versions[image] = ImageVersion(compute_version(inputs), inputs)
    return versions


def _sort(images: Mapping[str, ImageSettings]) -> list[str]:
    """Return the images, parents first; settings have no cycles (`load_settings`)."""
    chains: dict[str, list[str]] = {}
    for image in images:
        chain, parent = [image], images[image].parent
        while parent is not None:
            chain, parent = [parent, *chain], images[parent].parent
        chains[image] = chain
    return list(dict.fromkeys(image for chain in chains.values() for image in chain))
