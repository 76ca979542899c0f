"""Properties between Pulumi's names and DigitalOcean's, and what upstream calls a difference.

Upstream compares what a program asks for with what it last read. What it reads again it cuts to
the inputs' own lists: an element from outside takes the place of a declared one.
https://github.com/pulumi/pulumi-terraform-bridge/blob/v3.100.0/pkg/tfbridge/schema.go
(extractInputsObject)
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared_wire import Values, is_unknown

EMPTY: Sequence[Any] = (None, "", [], {})


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        name: Pulumi's name.
        at: Where the API holds it, with dots; empty is the same name in the API's spelling.
        computed: Without a wish it is the API's choice, and no difference.
        default: What upstream fills in, and what the API has without a wish.
        parts: What an object, or an element of a list, holds.
        unordered: It is a set: its order means nothing.
        hidden: The API does not say it: the state has what was asked for.
        hashed: The state has only a digest of it.
        virtual: Tells the plugin alone what to do.
        number: Numbers of the API that are texts of Pulumi's.
    """

    name: str
    at: str = ""
    computed: bool = False
    default: Any = None
    parts: tuple["Field", ...] = ()
    unordered: bool = False
    hidden: bool = False
    hashed: bool = False
    virtual: bool = False
    number: bool = False

    @property
    def place(self) -> str:
        """Where the API holds it."""
        return self.at or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()


def render(fields: Sequence[Field], values: Mapping[str, Any]) -> Values:
    """Return values as the API takes them.

    Raises:
        NotImplementedError: A part is none that the stand-in knows.
    """
    unknown = {key for key in values if not key.startswith("__")} - {one.name for one in fields}
    if unknown:
        message = f"the stand-in for the digitalocean plugin has no {', '.join(sorted(unknown))}"
        raise NotImplementedError(message)
    body: Values = {}
    for field in fields:
        value = values.get(field.name)
        if value is not None and not field.virtual:
            _put(body, field.place, _render_value(field, value))
    return body


def _render_value(field: Field, value: Any) -> Any:  # noqa: ANN401 - any input
    if field.parts and isinstance(value, list):
        return [render(field.parts, one) for one in value]
    if field.parts:
        return render(field.parts, value)
    if field.number:
        return [int(one) for one in value] if isinstance(value, list) else int(value)
    return value


def _put(body: Values, place: str, value: Any) -> None:  # noqa: ANN401 - any value
    *outer, last = place.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value


def read(fields: Sequence[Field], thing: Mapping[str, Any]) -> Values:
    """Return what the API says in Pulumi's names."""
    found: Values = {}
    for field in fields:
        value: Any = thing
        for name in field.place.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value not in EMPTY and not field.virtual and not field.hidden:
            found[field.name] = _read_value(field, value)
    return found


def _read_value(field: Field, value: Any) -> Any:  # noqa: ANN401 - any value of the API
    if field.parts and isinstance(value, list):
        return [read(field.parts, one) for one in value]
    if field.parts:
        return read(field.parts, value)
    if field.number and not isinstance(value, list):
        return str(value)
    return value


def digest(value: str) -> str:
    """Return what the state keeps of a text that it does not show."""
    return hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()


def differs(field: Field, old: Any, new: Any) -> bool:  # noqa: ANN401 - any value
    """Tell whether upstream would change a property."""
    if is_unknown(new):
        return True
    if new in EMPTY:
        return not (field.computed or old in EMPTY or old == field.default)
    if isinstance(new, list):
        return not isinstance(old, list) or _is_other_list(field, old, new)
    if field.parts:
        return not isinstance(old, Mapping) or any(
            differs(part, old.get(part.name), new.get(part.name)) for part in field.parts
        )
    if old is None:
        old = field.default
    return str(old).lower() != str(new).lower() if _is_tag(field) else str(old) != str(new)


def _is_tag(field: Field) -> bool:
    """Tell whether upstream takes two spellings for one: the API keeps the first of a tag."""
    return "tag" in field.name.lower()


def _is_other_list(field: Field, old: Sequence[Any], new: Sequence[Any]) -> bool:
    if len(old) != len(new):
        return True
    if field.unordered:
        return not all(any(not _is_other(field, one, other) for one in old) for other in new)
    return any(_is_other(field, *pair) for pair in zip(old, new, strict=True))


def _is_other(field: Field, old: Any, new: Any) -> bool:  # noqa: ANN401 - an element
    if isinstance(new, Mapping):
        return differs(field, old, new)
    fold = str.lower if _is_tag(field) else str
    return fold(str(old)) != fold(str(new))


def cut(field: Field, old: Any, now: Any) -> Any:  # noqa: ANN401 - any value
    """Return an input as it is now, of what the input spoke of: a list gets no longer.

    The official plugin's order of a set is that of digests. This one takes the worst: what is from
    outside comes first.
    """
    if not differs(field, now, old):
        return old
    if isinstance(old, list) and isinstance(now, list):
        if field.unordered:
            known = [one for one in now if any(not _is_other(field, one, said) for said in old)]
            now = [*(one for one in now if one not in known), *known]
        return [_cut_element(*pair) for pair in zip(old, now, strict=False)]
    return _cut_element(old, now)


def _cut_element(old: Any, now: Any) -> Any:  # noqa: ANN401 - any value
    if isinstance(old, Mapping) and isinstance(now, Mapping):
        return {key: now.get(key, value) for key, value in old.items()}
    return now
