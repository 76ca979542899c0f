"""Computes digests of plain values: equal for equal values, whatever their order or store."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from immutable_servers.errors import SettingsError


def compute_digest(value: object, what: str) -> str:
    """Return the SHA-256 in hex of a plain value's canonical JSON.

    Raises:
        SettingsError: A part is not plain; `what` names the whole.
    """
    plain = _to_plain(value, what)
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _to_plain(value: object, path: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the value with lists for tuples and whole numbers as integers.

    Pulumi's state holds every number as a double, so 2 comes back as 2.0.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_to_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _to_plain(item, f"{path}.{key}") for key, item in value.items()}
    raise SettingsError(
        f"{path} is not a plain value",
        facts=[f"It is of type {type(value).__name__}; an id is known before the run."],
        todo="Give text, numbers, true, false, lists or mappings; no Output of a resource.",
    )
