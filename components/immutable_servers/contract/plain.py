"""Plain values as they come back from the engine."""

from typing import Any


def restore_numbers(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return the value with whole floats as ints, at every depth.

    The engine keeps every number as a 64-bit float (protobuf's Struct), so 2 comes back as 2.0.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: restore_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restore_numbers(item) for item in value]
    return value
