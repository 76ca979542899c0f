"""Computes what an image is: SHA-256 over its inputs, and over what its parent is.

An image's version is the first digits of the digest over its own inputs. Twelve digits are for
people: names, paths, previews. Two sources with the same twelve can be made on purpose in a minute,
so an artifact is used only when its whole digest is the wanted one.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.canonical import compute_digest

FORMAT = 1
"""Raised when what is hashed, or how, changes: every image is then baked again."""
DIGITS = 12


def digest_inputs(inputs: Mapping[str, Any]) -> str:
    """Return the SHA-256 in hex of an image's inputs, in the form that a bake keeps as manifest.

    The parent counts by its version alone.

    Raises:
        SettingsError: A part is not plain.
    """
    return compute_digest({"format": FORMAT, **inputs}, f"image {inputs.get('image', '')}")


def join_digests(own: str, parent: str) -> str:
    """Return an image's digest, from that of its inputs and its parent's; empty is no parent."""
    return hashlib.sha256(f"{own} {parent}".encode()).hexdigest() if parent else own


def shorten(digest: str) -> str:
    """Return the version that begins a digest of inputs."""
    return digest[:DIGITS]
