"""A generation's record as tags of its Auto Scaling group, and other plain values as tags.

A tag's value holds 256 characters and a group 50 tags, so the record is compressed and cut.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from immutable_servers.errors import LaunchError, LedgerError
from immutable_servers.targets.aws.names import PREFIX

KEY = f"{PREFIX}record-"
MOST_IN_ONE = 256
MOST_TAGS = 40
LEAVING = f"{PREFIX}leaving"
"""Its deletion has begun: it is never used again."""


def render_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that hold a record.

    Raises:
        LaunchError: It is too large.
    """
    parts = pack(KEY, record)
    if len(parts) > MOST_TAGS:
        raise LaunchError(
            "The record of the generation does not fit into the tags of its group",
            facts=[f"{len(parts)} tags of {MOST_IN_ONE} characters, at most {MOST_TAGS} are free"],
            todo="Make `env` and `launch_overrides` of the service smaller.",
        )
    return parts


def parse_record(tags: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the record that `render_record` wrote among a group's tags.

    Raises:
        LedgerError: It is missing or damaged: unreadable is never empty.
    """
    try:
        return unpack(KEY, tags)
    except ValueError as error:
        raise LedgerError(
            f"The record in the tags of the group {where} cannot be read",
            facts=[str(error) or type(error).__name__],
            todo=f"Put back the tags {KEY}00 and on, or delete the group by hand if it is not"
            " needed, then run again.",
        ) from error


def pack(key: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return plain values as tags whose names begin with `key`."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(text, 9)).decode()
    parts = [packed[at : at + MOST_IN_ONE] for at in range(0, len(packed), MOST_IN_ONE)]
    return {f"{key}{number:02}": part for number, part in enumerate(parts)}


def unpack(key: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what `pack` wrote among others' tags.

    Raises:
        ValueError: It is missing or damaged.
    """
    packed = "".join(tags[name] for name in sorted(tags) if name.startswith(key))
    try:
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return found
