"""Models of what `preview --json` writes; its schema is made from them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.pin import Pin, render_pin

SCHEMA_FILE = "docs/reference/preview.schema.json"
FORMAT: Literal[1] = 1
CHANGES = 20
"""The exit code of `--exit-code` for changes: no branch of the error tree has it."""

Fate = Literal["found", "to be baked", "not needed", "not asked"]
Move = Literal["first", "replace", "traffic", "verify", "resize", "nothing", "failed", "unknown"]
PlainPin = Annotated[Pin | None, PlainSerializer(render_pin, return_type=dict[str, str])]
"""A pin that JSON has as the ledger has it: a mapping, empty for None."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Model):
    """An error in its three parts."""

    kind: str = Field(description="Its name in the error tree.")
    what: str = Field(description="What failed.")
    facts: tuple[str, ...] = Field(default=(), description="Paths, values, what a tool printed.")
    todo: str = Field(default="", description="What the reader does next.")
    exit_code: int = Field(description="The exit code of its branch.")


class ImagePreview(_Model):
    """One image: which version, and why another than the one that serves."""

    name: str
    old: str = Field(description="Version behind the live generations; empty when there is none.")
    new: str = Field(description="Version of the checkout.")
    fate: Fate = Field(
        description="Whether the catalog has the new version; `not asked` with --offline."
    )
    why: tuple[str, ...] = Field(
        default=(),
        description="What differs between the two versions: files, parent, lock, variables.",
    )


class GenerationPreview(_Model):
    """One generation that exists or is to be made."""

    id: str
    state: str = Field(description="candidate, live, standby or retired, as the target has it.")
    order: int = Field(description="Counts the generations of a service, from 1.")
    images: dict[str, str] = Field(description="Versions of its image and of the parents.")
    servers: int = Field(description="How many it has; of a new one, how many it is to have.")
    commit: str = Field(default="", description="Git commit of its first launch.")


class ServerCounts(_Model):
    """How many servers of a service exist, in each step of the update."""

    now: int
    during: int = Field(description="While old and new exist together.")
    after: int


class PastUpdate(_Model):
    """An earlier update that made a generation of the service."""

    at: str = Field(description="When it ended, in ISO 8601, UTC.")
    seconds: int


class Money(_Model):
    """What the servers of a service cost, by the stack's `prices`."""

    currency: str
    per_day_now: float
    per_day_after: float
    of_update: float | None = Field(description="As long as the last one; null before the first.")


class ServicePreview(_Model):
    """One service: which generation serves, which one shall, and what that takes."""

    name: str
    address: str = Field(description="Where it answers; empty with --offline.")
    move: Move = Field(
        description="first: the first generation. replace: a new generation next to the live one, "
        "create before destroy. traffic: back to a standby. verify: checks run, nothing is "
        "launched but a probe. resize: the live fleet changes its count in place. "
        "failed: the source's generation failed under traffic and gets none. "
        "unknown: offline, and the ledger cannot be read."
    )
    live: GenerationPreview | None = Field(description="What serves now.")
    desired: GenerationPreview = Field(description="What shall serve once it is verified.")
    why: tuple[str, ...] = Field(default=(), description="What differs between the two.")
    standbys: tuple[GenerationPreview, ...] = Field(
        default=(), description="What `keep` holds afterwards."
    )
    going: tuple[GenerationPreview, ...] = Field(
        default=(), description="What is retired, last of all."
    )
    launched: int = Field(description="Servers that are launched.")
    retired: int = Field(description="Servers that are retired.")
    servers: ServerCounts
    server_hours_per_day_now: int
    server_hours_per_day_after: int
    server_hours_of_update: float | None = Field(
        description="What the update itself takes, as long as the last one; null before the first."
    )
    money: Money | None = Field(
        default=None, description="Null where the stack has no price for one of the sizes."
    )
    took: tuple[PastUpdate, ...] = Field(
        default=(), description="The last updates, the newest first."
    )
    pin: PlainPin = Field(default=None, description="Who pinned it to what, when and why.")
    notes: tuple[str, ...] = Field(default=(), description="What else a reader should know.")


class EngineStep(_Model):
    """A step that the engine plans."""

    operation: str
    type: str
    name: str


class EnginePreview(_Model):
    """The engine's own words, so that nothing is hidden."""

    changes: dict[str, int] = Field(description="Number of resources by operation, `same` too.")
    steps: tuple[EngineStep, ...] = Field(default=(), description="All but what stays the same.")
    warnings: tuple[str, ...] = ()
    seconds: float = Field(description="How long its preview took.")


class StackPreview(_Model):
    """All of one stack."""

    stack: str
    project: str
    target: str = Field(default="", description="Empty when the settings cannot be read.")
    offline: bool = Field(description="Catalog, target and engine were not asked.")
    commit: str = Field(default="", description="The checkout's git commit.")
    clean: bool = Field(default=True, description="Whether the images' files are the commit's.")
    images: tuple[ImagePreview, ...] = ()
    services: tuple[ServicePreview, ...] = ()
    engine: EnginePreview | None = Field(
        default=None, description="Null with --offline or an error."
    )
    problems: tuple[Problem, ...] = Field(default=(), description="Why an update would not begin.")
    notes: tuple[str, ...] = ()

    @property
    def result(self) -> Literal["nothing", "changes", "error"]:
        """The outcome; the engine decides where it was asked.

        What is not known counts as changes.
        """
        if self.problems:
            return "error"
        if self.engine is not None:
            return "changes" if self.engine.steps else "nothing"
        moves = any(service.move != "nothing" or service.going for service in self.services)
        return "changes" if moves else "nothing"


class Document(_Model):
    """What `--json` writes."""

    format: Literal[1] = FORMAT
    result: Literal["nothing", "changes", "error"] = Field(description="Of all stacks together.")
    stacks: tuple[StackPreview, ...]


def make_document(stacks: tuple[StackPreview, ...]) -> Document:
    """Return the document over one or several stacks."""
    results = {stack.result for stack in stacks}
    if "error" in results:
        return Document(result="error", stacks=stacks)
    return Document(result="changes" if "changes" in results else "nothing", stacks=stacks)


def make_problem(error: ImmutableError) -> Problem:
    """Return an error in its parts."""
    return Problem(
        kind=type(error).__name__,
        what=error.what,
        facts=error.facts,
        todo=error.todo,
        exit_code=error.exit_code,
    )


def render_schema() -> dict[str, Any]:
    """Return the JSON Schema of `--json`."""
    schema = Document.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
