"""Models of what `doctor --json` writes; its schema is made from them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_FILE = "docs/reference/doctor.schema.json"
FORMAT: Literal[1] = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartLine(_Model):
    """One part of this machine."""

    part: str
    version: str = Field(description="Its version, `missing`, or what was found.")
    place: str
    fix: str = Field(description="What to do about it; empty where nothing has to be done.")


class TargetLine(_Model):
    """One thing that the target was asked."""

    status: Literal["ok", "note", "not ok", "not known"] = Field(
        description="note: worth reading, stops nothing. not known: it could not be asked."
    )
    what: str
    found: str
    todo: str = Field(description="The way out; empty only where the status is ok.")


class Report(_Model):
    """What `--json` writes."""

    format: Literal[1] = FORMAT
    stack: str = Field(description="Empty where none was named: then no target is asked.")
    target: str
    machine: tuple[PartLine, ...]
    readiness: tuple[TargetLine, ...] = ()


def render_schema() -> dict[str, Any]:
    """Return the JSON Schema of `--json`."""
    schema = Report.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
