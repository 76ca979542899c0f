"""Computes the version of an image: a digest of its declared inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.digests import digest_inputs, join_digests, shorten
from immutable_servers.identity.inputs import ImageInputs, read_image_inputs
from immutable_servers.settings.models import ImageSettings, Settings


@dataclass(frozen=True)
class ImageVersion:
    """An image's version, what it was computed from, and the digest that nobody else can have.

    Attributes:
        version: 12 hex digits over the inputs.
        digest: SHA-256 in hex over the inputs and the parent's digest.
    """

    version: str
    inputs: ImageInputs
    digest: str


def make_version(inputs: ImageInputs, parent: str = "") -> ImageVersion:
    """Return version and digest of an image's inputs, which may be many: they are read once.

    Args:
        inputs: What the image declares.
        parent: Its parent's digest, empty without one.
    """
    own = digest_inputs(inputs.to_plain())
    return ImageVersion(shorten(own), inputs, join_digests(own, parent))


def compute_versions(
    project_root: Path, settings: Settings, architecture: str
) -> dict[str, ImageVersion]:
    """Return version and digest of every image of a stack, parents before their children.

    Raises:
        ImageError: As `read_image_inputs`.
        SettingsError: As `read_image_inputs`.
    """
    versions: dict[str, ImageVersion] = {}
    for image in _sort(settings.images):
        chosen = settings.images[image]
        parent = versions[chosen.parent] if chosen.parent else None
        inputs = read_image_inputs(
            project_root,
            image,
            chosen,
            target=settings.target,
            architecture=architecture,
            parent_version=parent.version if parent else None,
        )
        versions[image] = make_version(inputs, parent.digest if parent else "")
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
