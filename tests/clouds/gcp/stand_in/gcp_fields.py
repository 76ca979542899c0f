"""Properties between Pulumi's names and Google's, and what upstream calls a difference.

Upstream compares what a program asks for with what it last read, and not with what was asked for
before; what it reads again it cuts to the inputs' own lists. Both are what its users meet.
https://github.com/pulumi/pulumi-terraform-bridge/blob/v3.100.0/pkg/tfbridge/schema.go
(extractInputsObject)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared_wire import Values, is_unknown

GIVEN = frozenset(
    (
        "allowChangingZone",
        "architecture",
        "balancingMode",
        "capacityScaler",
        "deviceName",
        "diskSizeGb",
        "enable",
        "guestOsFeatures",
        "interface",
        "instanceRedistributionType",
        "ipv",
        "AccessType",
        "maxSurgeFixed",
        "maxUnavailableFixed",
        "maxUtilization",
        "mode",
        "name",
        "natIp",
        "network",
        "networkIp",
        "networkTier",
        "nicType",
        "onFailedHealthCheck",
        "onHostMaintenance",
        "onRepair",
        "optionalMode",
        "portSpecification",
        "provisioningModel",
        "proxyHeader",
        "queueCount",
        "replacementMethod",
        "sampleRate",
        "stackType",
        "subnetwork",
        "subnetworkProject",
        "type",
    )
)
"""Parts that Google fills in by itself; upstream calls them computed, or has the same default."""


@dataclass(frozen=True)
class Form:
    """How a value is written for the API, and read from it."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


PLAIN = Form(lambda value: value, lambda value: value)
INT64 = Form(str, int)
ONE = Form(lambda value: [value], lambda value: value[0])
"""A list of one, where Pulumi has its element."""
METADATA = Form(
    lambda value: {"items": [{"key": key, "value": text} for key, text in value.items()]},
    lambda value: {item["key"]: item.get("value", "") for item in value.get("items", ())},
)
ZONES = Form(
    lambda value: [{"zone": f"zones/{zone}"} for zone in value],
    lambda value: [one["zone"].rpartition("/")[2] for one in value],
)
LAST = Form(lambda value: value, lambda value: str(value).rpartition("/")[2])


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        name: Pulumi's name.
        at: Where the API holds it, with dots; empty is the same name.
        computed: Without a wish it is the API's choice, and no difference.
        default: What upstream fills in.
        parts: What an object or a list's elements hold, where any name of them differs.
        form: How it is written and read.
        unordered: The order of the list means nothing.
        virtual: Tells the plugin alone what to do.
        of: The collection of things that it names; upstream makes links of names.
    """

    name: str
    at: str = ""
    computed: bool = False
    default: Any = None
    parts: tuple["Field", ...] = ()
    form: Form = PLAIN
    unordered: bool = False
    virtual: bool = False
    of: str = ""


def render(fields: Sequence[Field], values: Mapping[str, Any]) -> Values:
    """Return values as the API takes them.

    Raises:
        NotImplementedError: A part is none that the stand-in knows.
    """
    unknown = {key for key in values if not key.startswith("__")} - {one.name for one in fields}
    if unknown:
        message = f"the stand-in for the gcp plugin has no {', '.join(sorted(unknown))}"
        raise NotImplementedError(message)
    body: Values = {}
    for field in fields:
        value = values.get(field.name)
        if value is not None and not field.virtual:
            _put(body, field.at or field.name, field.form.write(_render_parts(field, value)))
    return body


def _render_parts(field: Field, value: Any) -> Any:  # noqa: ANN401 - any input
    if not field.parts:
        return _drop_own(value)
    if isinstance(value, list):
        return [render(field.parts, one) for one in value]
    return render(field.parts, value)


def _drop_own(value: Any) -> Any:  # noqa: ANN401 - any input
    """Return a value without the bridge's own words."""
    if isinstance(value, Mapping):
        return {key: _drop_own(one) for key, one in value.items() if not key.startswith("__")}
    return [_drop_own(one) for one in value] if isinstance(value, list) else value


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
        for name in (field.at or field.name).split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value not in (None, "", [], {}) and not field.virtual:
            found[field.name] = _read_parts(field, field.form.read(value))
    return found


def _read_parts(field: Field, value: Any) -> Any:  # noqa: ANN401 - any value of the API
    if not field.parts:
        return value
    if isinstance(value, list):
        return [read(field.parts, one) for one in value]
    return read(field.parts, value)


def is_same(old: Any, new: Any, *, unordered: bool = False) -> bool:  # noqa: ANN401 - any value
    """Tell whether upstream sees no difference between what is and what is asked for."""
    if not old and not new:
        return True
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = {name for name in {*old, *new} if not name.startswith("__")}
        return all(
            is_same(old.get(name), new.get(name)) or (name in GIVEN and name not in new)
            for name in names
        )
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return False
        if unordered:
            return all(any(is_same(one, other) for one in old) for other in new)
        return all(is_same(*pair) for pair in zip(old, new, strict=True))
    return _is_same_text(_shorten(old), _shorten(new))


def _is_same_text(old: str, new: str) -> bool:
    """Compare two values; a link may be a name alone."""
    if old == new:
        return True
    if ("/" in old) != ("/" in new):
        return old.rpartition("/")[2] == new.rpartition("/")[2]
    return False


def _shorten(value: Any) -> str:  # noqa: ANN401 - any value
    """Return a value's text: a link without its host, numbers alike."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    path = text.partition("/compute/")[2] if "://" in text else ""
    return path.partition("/")[2] or text


def find_difference(field: Field, old: Any, new: Any) -> bool:  # noqa: ANN401 - any value
    """Tell whether upstream would change a property."""
    if is_unknown(new):
        return True
    if new is None and (field.computed or old == field.default):
        return False
    return not is_same(old, new, unordered=field.unordered)


def cut(old: Any, now: Any, *, unordered: bool = False) -> Any:  # noqa: ANN401 - any value
    """Return an input as it is now, of what the input spoke of: a list gets no longer."""
    if is_same(now, old, unordered=unordered):
        return old
    if isinstance(old, Mapping) and isinstance(now, Mapping):
        return {
            key: value if key.startswith("__") else cut(value, now.get(key))
            for key, value in old.items()
            if key.startswith("__") or now.get(key) is not None or not value
        }
    if isinstance(old, list) and isinstance(now, list):
        return [cut(*pair) for pair in zip(old, now, strict=False)]
    return now
