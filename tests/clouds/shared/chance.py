"""Chance as tests need it: drawn from a seed, so each run of a test meets the same."""

import hashlib
import json

DIGEST_BYTES = 8


def draw(seed: int, *about: object) -> float:
    """Return a number from 0 to 1, the same one for the same seed and words."""
    text = json.dumps([seed, *map(str, about)])
    digest = hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
    return int.from_bytes(digest) / float(256**DIGEST_BYTES)
