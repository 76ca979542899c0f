"""What each resource type of Compute Engine has in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import shared_kinds
from gcp_fields import Field, cut, find_difference, read, render
from gcp_wire import Wire
from shared_wire import Values, is_unknown

LABELS = Field("labels")
FINGERPRINT = {"fingerprint": "fingerprint", "creationTimestamp": "creationTimestamp"}
"""Outputs of most types."""
OWN = (Field("name"), Field("description"), Field("project", computed=True))


class Kind(shared_kinds.Kind):
    """One resource type.

    Attributes:
        collection: Its things' name in the API's paths.
        fields: Its inputs.
        outputs: What it says besides, by the API's names.
        labels_at: Where the API holds its labels; empty where it has none.
        query: What its reading asks for besides.
    """

    replacements = Path(__file__).with_name("replacements.json")
    longest_name = 63
    service: ClassVar[str] = "compute"
    collection: ClassVar[str]
    location: ClassVar[str] = "global"
    fields: ClassVar[Sequence[Field]]
    outputs: ClassVar[Mapping[str, str]] = {}
    labels_at: ClassVar[str] = ""
    query: ClassVar[Mapping[str, str]] = {}

    @property
    def wire(self) -> Wire:
        """The API."""
        found: Wire = self.clients(self.service)
        return found

    def complete_identity(self, identity: str) -> str:
        """Return the whole id of one that a program names in short."""
        path = identity.rpartition("/projects/")[2] if "://" in identity else identity
        path = path.removeprefix("projects/")
        name, project = path.rpartition("/")[2], path.partition("/")[0]
        return self.make_identity({"name": name, "project": project if "/" in path else None})

    def make_identity(self, inputs: Values) -> str:
        """Return the id of what inputs make."""
        return f"{self.find_folder(inputs)}/{inputs['name']}"

    def find_folder(self, inputs: Values) -> str:
        """Return the path of the collection."""
        project = inputs.get("project") or self.wire.project
        return f"projects/{project}/{self.location}/{self.collection}"

    def find_unknown(self, inputs: Values) -> list[str]:
        """Return the properties that this stand-in does not carry out."""
        known = {field.name for field in self.fields}
        return sorted(name for name in inputs if name not in known and not name.startswith("__"))

    # what it is
    def describe(self, identity: str) -> Values | None:
        """Return what the API says of it."""
        return self.wire.find(identity, **self.query)

    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return all that the API says, and what was asked of the plugin alone."""
        virtual = {f.name: inputs[f.name] for f in self.fields if f.virtual and f.name in inputs}
        own = {key: value for key, value in inputs.items() if key.startswith("__")}
        link = str(found.get("selfLink", "")).replace("/compute/beta/", "/compute/v1/")
        outputs = {name: found.get(at) for name, at in self.outputs.items()}
        state = {**own, **virtual, **read(self.fields, found), **outputs, "selfLink": link}
        state.setdefault("project", identity.split("/")[1])
        return {**state, **self._render_labels(inputs, found)}

    def _render_labels(self, inputs: Values, found: Values) -> Values:
        """Return labels as upstream has them: those asked for, with the plugin's, and all."""
        if not self.labels_at:
            return {}
        all_of_them = read([Field("labels", self.labels_at)], found).get("labels", {})
        asked = {k: v for k, v in all_of_them.items() if k in (inputs.get("labels") or {})}
        added = {k: v for k, v in all_of_them.items() if k in {**asked, **self.wire.labels}}
        return {
            "labels": asked,
            "pulumiLabels": added,
            "effectiveLabels": all_of_them,
            "labelFingerprint": found.get("labelFingerprint"),
        }

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs as the API has them now."""
        identity = self.make_identity(inputs)
        state = self.render_state(identity, inputs, found)
        by_name = {field.name: field for field in self.fields}
        fresh = dict(inputs)
        for name, value in inputs.items():
            field = by_name.get(name)
            if field and not field.virtual:
                fresh[name] = cut(value, state.get(name), unordered=field.unordered)
        return {name: value for name, value in fresh.items() if value is not None}

    def import_inputs(self, found: Values) -> Values:
        """Return what the API says, but what upstream would fill in, and labels.

        https://github.com/pulumi/pulumi-gcp/issues/1959
        """
        state = {**read(self.fields, found), "labels": None}
        defaults = {field.name: field.default for field in self.fields}
        return {
            name: value for name, value in state.items() if value not in (None, defaults.get(name))
        }

    def find_changed(self, olds: Values, news: Values) -> list[str]:
        """Compare what is asked for with what was read last."""
        changed = [
            field.name
            for field in self.fields
            if find_difference(
                field, (olds if field.virtual else self.state).get(field.name), news.get(field.name)
            )
        ]
        labelled = self.labels_at and not is_unknown(news.get("labels"))
        if labelled and (self.state.get("pulumiLabels") or {}) != self.render_labels(news):
            changed.append("pulumiLabels")
        return changed

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Return the properties of which any change makes a new resource."""
        del olds, news
        return [*shared_kinds.read_replacements(self.replacements)[self.urn_type]]

    # what is done
    def render(self, inputs: Values) -> Values:
        """Return the body that makes it."""
        values = {**self.link(self.fields, inputs), "project": None}
        if self.labels_at:
            values["labels"] = self.render_labels(inputs) or None
        return render(self.fields, values)

    def link(self, fields: Sequence[Field], inputs: Values) -> Values:
        """Return inputs with links in the place of names."""
        project = inputs.get("project") or self.wire.project
        linked = dict(inputs)
        for field in fields:
            value = inputs.get(field.name)
            if field.of and value:
                folder = field.of.replace("REGION", self.wire.region)
                found = [
                    one if "/" in one else f"projects/{project}/{folder}/{one}"
                    for one in (value if isinstance(value, list) else [value])
                ]
                linked[field.name] = found if isinstance(value, list) else found[0]
        return linked

    def render_labels(self, inputs: Values) -> dict[str, str]:
        """Return the labels that it gets."""
        return {**(inputs.get("labels") or {}), **self.wire.labels}

    def create(self, inputs: Values) -> str:
        """Create it."""
        identity = self.make_identity(inputs)
        self.wire.operate("POST", self.find_folder(inputs), self.render(inputs))
        return identity

    def plan(self, news: Values) -> Values:
        """Return what an update writes: wishes, and as it was what nobody asks for or ignores."""
        planned = {**news}
        for field in self.fields:
            kept = field.name in self.ignored or (field.computed and field.name not in news)
            if kept and not field.virtual:
                planned[field.name] = self.state.get(field.name)
        return planned

    def differs(self, news: Values, name: str) -> bool:
        """Tell whether an update changes a property."""
        field = next(one for one in self.fields if one.name == name)
        return name not in self.ignored and find_difference(
            field, self.state.get(name), news.get(name)
        )

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it; what uses it is upstream's user's to remove first."""
        del inputs
        if self.describe(identity) is not None:
            self.wire.operate("DELETE", identity)


class Labelled(Kind):
    """A type whose labels are set by a call of their own, also when it is new."""

    labels_at = "labels"

    def create(self, inputs: Values) -> str:
        """Create it, then set its labels."""
        identity = super().create(inputs)
        self.state = self.describe(identity) or {}
        if self.render_labels(inputs):
            self._set_labels(identity, inputs)
        return identity

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Set its labels."""
        del olds
        if (self.state.get("pulumiLabels") or {}) != self.render_labels(news):
            self._set_labels(identity, news)

    def _set_labels(self, identity: str, inputs: Values) -> None:
        fingerprint: Any = self.state.get("labelFingerprint")
        body = {"labels": self.render_labels(inputs), "labelFingerprint": fingerprint}
        self.wire.operate("POST", f"{identity}/setLabels", body)


class Written(Kind):
    """A type that an update writes whole, with the fingerprint that was read last."""

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write all of it."""
        del olds
        fingerprint = self.state.get("fingerprint")
        body = self.render(self.plan(news))
        self.wire.operate(
            "PUT", identity, {**body, **({"fingerprint": fingerprint} if fingerprint else {})}
        )


class Constant(Kind):
    """A type whose every change is a new resource."""

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Leave it: only what the plugin keeps for itself can differ."""
