"""Turns dataclasses into plain values, which JSON and Pulumi can hold, and back."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Self

_LEAVES = frozenset({str, bool, type(None)})
"""Types of most values, which have one form: they are told apart first, by their exact type."""


class PlainForm:
    """The base of dataclasses that have a plain form.

    The forms are read and written by hand and not by pydantic's `TypeAdapter`: it would turn "2"
    into 2 or else refuse any mapping, and providers read resources whose values are not known yet.
    """

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        names = _find_readers(type(self))  # type: ignore[arg-type] # a class is hashable
        return {name: _make_plain(getattr(self, name)) for name in names}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the object from what `to_plain` returned; keys it does not know are left out."""
        readers = _find_readers(cls)  # type: ignore[arg-type] # a class is hashable
        return cls(**{key: read(plain[key]) for key, read in readers.items() if key in plain})


@cache
def _find_readers(cls: type[PlainForm]) -> Mapping[str, Callable[[Any], Any]]:
    """Return what reads each field's plain form; found once, as a run makes hundreds of objects."""
    kinds = {item.name: item.type for item in fields(cls)}  # type: ignore[arg-type]
    return {name: _find_reader(kind) for name, kind in kinds.items()}


def _find_reader(kind: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - an annotation
    if isinstance(kind, type) and issubclass(kind, PlainForm):
        return kind.from_plain
    return restore_numbers


def _make_plain(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return a copy; `dataclasses.asdict` takes three times as long, and a run makes hundreds."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, PlainForm):
        return value.to_plain()  # its own form, also inside of another one's
    if isinstance(value, dict):
        return {key: _make_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_make_plain(item) for item in value)
    return value


def restore_numbers(value: Any) -> Any:  # noqa: ANN401 - plain values of any shape
    """Return the value with whole floats as ints, at every depth.

    The engine keeps every number as a 64-bit float (protobuf's Struct), so 2 comes back as 2.0.
    """
    if type(value) in _LEAVES:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: restore_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restore_numbers(item) for item in value]
    return value
