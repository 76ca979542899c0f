"""Values between Pulumi's names and Amazon's.

Pulumi writes `httpTokens` where the API says `HttpTokens`, and tags as a mapping where the API has
a list. Which members an operation takes, and of which type, is read from botocore's own model of
the API, so that only what differs in its name is written down (`Names`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Names = Mapping[str, str]
"""Member of an API shape, as `Shape.Member` or `Member`, to the name of Pulumi's property."""


def render(shape: Any, value: Any, names: Names) -> Any:  # noqa: ANN401 - botocore's shapes
    """Return a value as the API takes it: its shape's members, with its types."""
    kind = shape.type_name
    if kind == "structure":
        return {
            member: render(part, value[key], names)
            for member, part in shape.members.items()
            if value.get(key := find_name(shape, member, names)) is not None
        }
    if kind == "list":
        if isinstance(value, Mapping):
            return render_tags(value)
        return [render(shape.member, item, names) for item in value]
    return _cast(kind, value)


def _read_boolean(value: Any) -> bool:  # noqa: ANN401 - upstream has booleans and their words
    return value if isinstance(value, bool) else str(value).lower() == "true"


_CASTS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": _read_boolean,
    "integer": int,
    "long": int,
    "double": float,
    "string": str,
}


def _cast(kind: str, value: Any) -> Any:  # noqa: ANN401 - any value of the API
    """Return a value with the type that the API has for it."""
    return _CASTS[kind](value) if kind in _CASTS else value


def find_name(shape: Any, member: str, names: Names) -> str:  # noqa: ANN401 - a botocore shape
    """Return Pulumi's name of a member of a shape."""
    usual = member[0].lower() + member[1:]
    return names.get(f"{shape.name}.{member}", names.get(member, usual))


def render_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def read_tags(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return tags as Pulumi has them."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def unrender(shape: Any, found: Any, names: Names) -> Any:  # noqa: ANN401 - botocore's shapes
    """Return what the API says as Pulumi's inputs would say it: what an import begins with."""
    kind = shape.type_name
    if kind == "structure":
        return {
            find_name(shape, member, names): unrender(part, found[member], names)
            for member, part in shape.members.items()
            if found.get(member) not in (None, "", [], {})
        }
    if kind == "list":
        if shape.member.type_name == "structure" and {*shape.member.members} == {"Key", "Value"}:
            return read_tags(found)
        return [unrender(shape.member, item, names) for item in found]
    return found


def refresh(shape: Any, old: Any, found: Any, names: Names) -> Any:  # noqa: ANN401 - the same
    """Return an input as the API has it now.

    Only what was an input is looked at: what the API adds of its own is no change of anything.
    """
    kind = shape.type_name
    if found is None:
        return None
    if kind == "structure":
        by_name = {find_name(shape, member, names): member for member in shape.members}
        return {
            key: refresh(shape.members[by_name[key]], value, found.get(by_name[key]), names)
            if key in by_name
            else value
            for key, value in old.items()
        }
    if kind == "list":
        return _refresh_list(shape, old, found, names)
    return old if _cast(kind, old) == _cast(kind, found) else found


def _refresh_list(shape: Any, old: Any, found: Any, names: Names) -> Any:  # noqa: ANN401 - the same
    if isinstance(old, Mapping):
        return read_tags(found)
    if shape.member.type_name != "structure":
        return old if sorted(map(str, old)) == sorted(map(str, found)) else found
    if len(old) != len(found):
        return None
    return [refresh(shape.member, *pair, names) for pair in zip(old, found, strict=True)]
