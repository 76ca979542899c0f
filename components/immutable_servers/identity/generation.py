"""Computes the id of a generation: a digest of what its servers are made of."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.canonical import compute_digest

FORMAT = 1
DIGITS = 8


def compute_generation_id(
    image_version: str,
    launch: Mapping[str, Any],
    shape: Mapping[str, Any],
    round: int,  # noqa: A002 - the design's word
) -> str:
    """Return 8 hex digits over image version, launch spec, shape and round.

    A number's type does not count (2 and 2.0 are equal), nor does the order of a mapping's keys.

    Raises:
        SettingsError: A value is not plain, such as an Output of a resource.
    """
    parts = {
        "format": FORMAT,
        "image_version": image_version,
        "launch": launch,
        "shape": shape,
        "round": round,
    }
    return compute_digest(parts, "generation")[:DIGITS]
