"""The JSON Schema of a whole stack file, for editors: made from the models."""

from typing import TYPE_CHECKING, Any

from immutable_servers.settings.defaults import BY_NAME, DEFAULTS
from immutable_servers.settings.load import SECTIONS
from immutable_servers.settings.models import Settings
from immutable_servers.targets import OWN_TARGETS, TARGETS, find_target_class

if TYPE_CHECKING:
    from pydantic import BaseModel

NAMESPACE = "immutable-servers"
SCHEMA_FILE = "docs/reference/stack.schema.json"
REFERENCES = "#/$defs/{model}"


def render_json_schema() -> dict[str, Any]:
    """Return the schema of `Pulumi.<stack>.yaml`; what belongs to Pulumi itself is let through."""
    whole = Settings.model_json_schema(ref_template=REFERENCES)
    _close(whole)
    definitions: dict[str, Any] = whole.get("$defs", {})
    sections = {key: whole["properties"][key] for key in SECTIONS}
    for key in BY_NAME:
        _take_empty(sections[key])
    sections["target"] = {**sections["target"], "examples": sorted(OWN_TARGETS)}
    for name in sorted(OWN_TARGETS):
        sections[name] = _render_target(name, definitions)
    shared = {"type": "object", "properties": dict(sections), "additionalProperties": False}
    sections[DEFAULTS] = {"description": "Replaces the defaults of Pulumi.yaml.", **shared}
    _take_less([*definitions.values(), *(sections[name] for name in OWN_TARGETS)])
    names = "|".join(sections)
    secret = {"type": "object", "required": ["secure"], "errorMessage": "is no setting"}
    config = {
        "type": "object",
        "properties": {f"{NAMESPACE}:{key}": value for key, value in sections.items()},
        "patternProperties": {f"^{NAMESPACE}:(?!({names})$)": secret},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A stack's settings",
        "type": "object",
        "required": ["config"],
        "properties": {"config": config},
        "$defs": definitions,
    }


def _take_empty(schema: dict[str, Any]) -> None:
    """Let an entry have no value: `base:` means the same as `base: {}`."""
    for key, entry in schema["patternProperties"].items():
        schema["patternProperties"][key] = {"anyOf": [entry, {"type": "null"}]}


def _take_less(schemas: list[dict[str, Any]]) -> None:
    """Require no key: the defaults may say it."""
    for schema in schemas:
        schema.pop("required", None)


def _close(schema: Any) -> None:  # noqa: ANN401 - any part of a schema
    """Refuse keys of mappings that do not follow their pattern, at every depth."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema.setdefault("additionalProperties", False)
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        _close(part)


def _render_target(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a target's own settings; its nested models join `definitions`."""
    about = f"Settings of the target {name}."
    if name not in TARGETS:
        return {"type": "object", "description": about}
    model: type[BaseModel] = find_target_class(name).settings_model
    schema = model.model_json_schema(ref_template=REFERENCES)
    definitions.update(schema.pop("$defs", {}))
    return {"description": about, **schema}
