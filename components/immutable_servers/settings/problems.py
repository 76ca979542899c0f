"""A mistake in the settings: its path, its value where that may be shown, and the rule.

Only scalars of fields that we declare are ever shown: a value of `env`, of a variable or of an
unknown key may be a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from immutable_servers.errors import SettingsError
from immutable_servers.settings.fields import KEY_RULE, NAME_RULE
from immutable_servers.settings.models import Settings

LONGEST_SHOWN = 60
Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        path: Such as `services.web.servers`.
        rule: What must be, such as `must be a whole number from 1 to 1000`.
        value: The value as text, or empty.
    """

    path: str
    rule: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.value + ' ' if self.value else ''}{self.rule}"


def raise_problems(problems: Sequence[Problem]) -> None:
    """Report all mistakes in one error; do nothing without one.

    Raises:
        SettingsError: There is at least one.
    """
    if not problems:
        return
    count = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    raise SettingsError(
        f"The settings of this stack have {count}",
        facts=[str(problem) for problem in problems],
        todo="Correct Pulumi.<stack>.yaml, or the defaults in Pulumi.yaml. docs/reference lists"
        " every setting.",
    )


def render_path(location: Sequence[int | str]) -> str:
    """Return `services.web.checks[0]` for its parts."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def suggest(word: str, known: Sequence[str]) -> str:
    """Return the nearest known word as a question, or the known words."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"


def render_value(value: object) -> str:
    """Return a scalar as text, shortened; anything else is not shown."""
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def read_problems(
    error: ValidationError, model: type[BaseModel], prefix: Location
) -> Iterator[Problem]:
    """Turn pydantic's errors into ours."""
    for detail in error.errors(include_url=False, include_context=False):
        if detail["type"] != "default_factory_not_called":  # follows from a field's own mistake
            yield _read_problem(detail, model, prefix)


def _read_problem(detail: ErrorDetails, model: type[BaseModel], prefix: Location) -> Problem:
    location = detail["loc"]
    is_key = bool(location) and location[-1] == "[key]"
    owner, field, rest = _find_field(model, location[:-2] if is_key else location)
    path = render_path((*prefix, *(location[:-1] if is_key else location)))
    if is_key:
        return Problem(path, NAME_RULE if owner is Settings else KEY_RULE)
    if detail["type"] == "extra_forbidden":
        unknown = str(location[-1])
        return Problem(path, f"is no setting; {suggest(unknown, list(owner.model_fields))}")
    rule = _find_rule(field, rest) or _reword(detail["msg"])
    if detail["type"] == "missing":
        return Problem(path, f"is missing; it {rule}")
    return Problem(path, rule, _show(field, rest, detail["input"]))


def _find_rule(field: FieldInfo | None, rest: Location) -> str:
    """Return the rule of a field, or of an item in it; empty when it declares none."""
    found = field
    if field and rest:
        items = [item for item in get_args(field.annotation) if item is not Ellipsis]
        marks = getattr(items[-1], "__metadata__", ()) if items else ()
        found = next((mark for mark in marks if isinstance(mark, FieldInfo)), None)
    extra = found.json_schema_extra if found else None
    return str(extra.get("errorMessage", "")) if isinstance(extra, dict) else ""


def _reword(message: str) -> str:
    """Return pydantic's message in our words, for a target's own model."""
    plain = message.replace("Value error, ", "").replace("Input should", "must")
    return plain.replace("must be an object", "must be a mapping")


def _show(field: FieldInfo | None, rest: Location, value: object) -> str:
    """Return the value as text when its field is known, declared and no place for secrets."""
    kinds = set(_flatten(field.annotation)) if field else set()
    if field is None or kinds & {dict, SecretStr, SecretBytes, Any}:
        return ""
    return render_value(value) if not rest or isinstance(rest[0], int) else ""


def _flatten(annotation: object) -> Iterator[Any]:
    """Yield the classes that an annotation is made of: dict, str and int for `dict[str, int]`."""
    origin = get_origin(annotation)
    if origin is not None and origin not in (Union, UnionType):
        yield origin
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _flatten(argument)


def _find_field(
    model: type[BaseModel], location: Location
) -> tuple[type[BaseModel], FieldInfo | None, Location]:
    """Return the innermost model on the way, its field there, and what of the way is left."""
    if not location or location[0] not in model.model_fields:
        return model, None, location[1:]
    field, rest = model.model_fields[str(location[0])], location[1:]
    nested = next((kind for kind in _flatten(field.annotation) if _is_model(kind)), None)
    if nested is None or not rest:
        return model, field, rest
    return _find_field(nested, rest[1:] if dict in _flatten(field.annotation) else rest)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
