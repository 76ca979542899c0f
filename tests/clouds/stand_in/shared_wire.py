"""Values between the engine's protocol and plain Python."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime.rpc import UNKNOWN

Values = dict[str, Any]
FILLED = "__defaults"
"""Where inputs keep the names of what the check filled in, as the official plugins' do."""
IMPORTED = "__imported"
"""Marks inputs that were read and not declared."""


def read_struct(struct: Struct) -> Values:
    """Return plain values; whole numbers are integers again, what is not known stays `UNKNOWN`."""
    found: Values = _restore(json_format.MessageToDict(struct))
    return found


def _restore(value: Any) -> Any:  # noqa: ANN401 - any value of the protocol
    if isinstance(value, dict):
        return {key: _restore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restore(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_meant(values: Mapping[str, Any]) -> Values:
    """Return the values that mean something to an API."""
    return {k: v for k, v in values.items() if not k.startswith("__") and v is not None}


def write_struct(values: Mapping[str, Any]) -> Struct:
    """Return the values as the protocol holds them, without those that are None."""
    return json_format.ParseDict({k: v for k, v in values.items() if v is not None}, Struct())


def is_unknown(value: Any) -> bool:  # noqa: ANN401 - any value of the protocol
    """Tell whether a value, or a part of it, is only known after the run."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(is_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def covers(old: Any, new: Any) -> bool:  # noqa: ANN401 - any input
    """Tell whether an imported value is what a program asks for, which may ask for less."""
    if isinstance(new, Mapping):
        return isinstance(old, Mapping) and all(
            key in old and covers(old[key], value) for key, value in new.items()
        )
    if isinstance(new, list):
        if not isinstance(old, list) or len(old) != len(new):
            return False
        if any(isinstance(item, Mapping) for item in new):
            return all(covers(*pair) for pair in zip(old, new, strict=True))
        return sorted(map(str, old)) == sorted(map(str, new))
    return str(old).lower() == str(new).lower()
