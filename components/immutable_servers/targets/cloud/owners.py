"""Packs the owner of a stack, the state that holds it, into the tags of a thing of the stack.

No program declares these tags, so that they can differ from one checkout to the next without a
change of the stack.
"""

from collections.abc import Mapping
from dataclasses import asdict

from immutable_servers.contract.ownership import Owner
from immutable_servers.targets.cloud.tags import Tagging

WORD = "owner-"
MOST_TAGS = 20
"""An owner takes two or three tags; clouds let a thing have 50 or so."""


def pack_owner(tagging: Tagging, owner: Owner) -> dict[str, str]:
    """Return an owner as tags; none when its paths are too long, which stops nobody's work."""
    packed = tagging.pack(WORD, asdict(owner))
    return packed if len(packed) <= MOST_TAGS else {}


def unpack_owner(tagging: Tagging, tags: Mapping[str, str]) -> Owner | None:
    """Return the owner among a thing's tags; None when nobody wrote it, or it cannot be read."""
    try:
        return Owner(**tagging.unpack(WORD, tags))
    except (ValueError, TypeError):
        return None


def find_stale(tagging: Tagging, tags: Mapping[str, str], packed: Mapping[str, str]) -> list[str]:
    """Return the keys of an earlier owner's tags that the new one does not overwrite."""
    return [key for key in tags if key.startswith(f"{tagging.prefix}{WORD}") and key not in packed]
