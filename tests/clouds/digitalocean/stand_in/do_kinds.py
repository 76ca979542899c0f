"""What each resource type of DigitalOcean has in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import shared_kinds
from do_fields import Field, cut, differs, digest, read, render
from do_wire import GONE, ApiError, Wire
from shared_wire import Values


class Kind(shared_kinds.Kind):
    """One resource type.

    Attributes:
        collection: Its things' path.
        root: What the API wraps one of them in.
        fields: Its inputs.
        outputs: What it says besides.
    """

    replacements = Path(__file__).with_name("replacements.json")
    longest_name = 255
    collection: ClassVar[str]
    root: ClassVar[str]
    fields: ClassVar[Sequence[Field]]
    outputs: ClassVar[Sequence[Field]] = ()

    @property
    def wire(self) -> Wire:
        """The API."""
        found: Wire = self.clients("api")
        return found

    def find_unknown(self, inputs: Values) -> list[str]:
        """Return the properties that this stand-in does not carry out."""
        known = {field.name for field in self.fields}
        return sorted(name for name in inputs if name not in known and not name.startswith("__"))

    # what it is
    def describe(self, identity: str) -> Values | None:
        """Return what the API says of it."""
        answer = self.wire.find(f"{self.collection}/{identity}")
        return None if answer is None else dict(answer[self.root])

    def read_fields(self, found: Values) -> Values:
        """Return its properties as the API has them."""
        return read(self.fields, found)

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return what it says besides."""
        del identity
        return read(self.outputs, found)

    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return all that the API says, and what was asked for where it says nothing."""
        state = {key: value for key, value in inputs.items() if key.startswith("__")}
        for field in self.fields:
            asked = inputs.get(field.name)
            if (field.hidden or field.virtual) and asked is not None:
                state[field.name] = digest(asked) if field.hashed else asked
        return {**state, **self.read_fields(found), **self.read_outputs(identity, found)}

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs as the API has them now."""
        now, fresh = self.read_fields(found), dict(inputs)
        for field in self.fields:
            told = not field.hidden and not field.virtual
            if told and inputs.get(field.name) is not None:
                fresh[field.name] = cut(field, inputs[field.name], now.get(field.name))
        return {name: value for name, value in fresh.items() if value is not None}

    def import_inputs(self, found: Values) -> Values:
        """Return what the API says, but what upstream would fill in."""
        filled = {field.name: field.default for field in self.fields}
        return {k: v for k, v in self.read_fields(found).items() if v != filled.get(k)}

    def find_changed(self, olds: Values, news: Values) -> list[str]:
        """Compare what is asked for with what was read last."""
        del olds
        changed = []
        for field in self.fields:
            new = news.get(field.name)
            if field.hashed and isinstance(new, str):
                new = digest(new)
            if differs(field, self.state.get(field.name), new):
                changed.append(field.name)
        return changed

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Return the properties of which any change makes a new resource."""
        del olds, news
        return [*shared_kinds.read_replacements(self.replacements)[self.urn_type]]

    # what is done
    def render(self, inputs: Values) -> Values:
        """Return the body that makes it."""
        return render(self.fields, inputs)

    def plan(self, news: Values) -> Values:
        """Return what an update writes: wishes, and as it was what nobody asks for or ignores."""
        planned = {**news}
        for field in self.fields:
            kept = field.name in self.ignored or (field.computed and field.name not in news)
            if kept and not field.virtual and not field.hidden:
                planned[field.name] = self.state.get(field.name)
        return planned

    def differs(self, news: Values, name: str) -> bool:
        """Tell whether an update changes a property."""
        field = next(one for one in self.fields if one.name == name)
        return name not in self.ignored and differs(field, self.state.get(name), news.get(name))

    def create(self, inputs: Values) -> str:
        """Create it."""
        made = self.wire.send("POST", self.collection, self.render(inputs))[self.root]
        return str(made["id"])

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it; what is gone is no error."""
        del inputs
        try:
            self.wire.send("DELETE", f"{self.collection}/{identity}")
        except ApiError as error:
            if error.code != GONE:
                raise


class Written(Kind):
    """A type that an update writes whole: what is not in it is the API's default again."""

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write all of it."""
        del olds
        self.wire.send("PUT", f"{self.collection}/{identity}", self.render(self.plan(news)))


class Constant(Kind):
    """A type whose every change is a new resource."""

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Leave it: only what the plugin keeps for itself can differ."""


def name_thing(kind: str, identity: Any) -> str:  # noqa: ANN401 - a number or a text
    """Return the name of a thing that is unique among all accounts."""
    return f"do:{kind}:{identity}"
