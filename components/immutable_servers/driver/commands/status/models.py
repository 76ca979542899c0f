"""Models of what `status --json` writes; its schema is made from them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from immutable_servers.driver.commands.preview.models import Move, PlainPin
from immutable_servers.ledger.pin import Pinned

SCHEMA_FILE = "docs/reference/status.schema.json"
FORMAT: Literal[1] = 1
DIFFERS = 20
"""The exit code of `--exit-code` when something differs; no error has it."""

State = Literal["candidate", "live", "standby", "retired"]
DriftKind = Literal[
    "missing", "stopped", "paused", "added", "artifact", "group", "fleet", "traffic", "balancer"
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerStatus(_Model):
    """One server, asked now."""

    name: str
    healthy: bool = Field(description="It answered its health check.")
    detail: str = Field(description="What it answered, or why it did not.")
    in_group: bool = Field(description="The balancer's group for the generation has it as up.")


class GenerationStatus(_Model):
    """One generation that exists."""

    id: str
    state: State = Field(description="As the target has it.")
    order: int = Field(description="Counts the generations of a service, from 1.")
    traffic: int = Field(description="Share of the traffic in percent, as the balancer says.")
    images: dict[str, str] = Field(description="Versions of its image and of the parents.")
    wanted: int = Field(description="How many servers it is to have.")
    running: int = Field(description="How many run.")
    whole: bool = Field(description="Every server that it is to have exists.")
    leaving: bool = Field(description="Its deletion has begun, and the next update ends it.")
    servers: tuple[ServerStatus, ...] = ()
    commit: str = Field(default="", description="Git commit of its first launch.")
    verified: dict[str, str] = Field(default={}, description="When and how; empty when it was not.")
    left_at: int = Field(description="When traffic left it, in seconds since the epoch, else 0.")


class DriftStatus(_Model):
    """Something that was changed by hand, or was lost with its machine."""

    kind: DriftKind = Field(
        description="missing, stopped, paused, added: a server. artifact: a server that is not of "
        "its generation's image. group: the balancer's group holds an unknown server. fleet: a "
        "whole generation is gone. traffic: the balancer says something else than the ledger. "
        "balancer: it does not have the live servers as up."
    )
    generation: str
    server: str = ""
    what: str = Field(description="What was found.")
    then: str = Field(description="What the next `up` does about it.")


class SourceStatus(_Model):
    """What the checkout would change."""

    move: Move = Field(description="As in preview.schema.json.")
    desired: str = Field(description="The generation that shall serve.")
    words: str = Field(description="The same, for a reader.")
    why: tuple[str, ...] = Field(default=(), description="What differs.")


class ServiceStatus(_Model):
    """One service."""

    name: str
    address: str = Field(description="Where it answers, as the last run said.")
    pin: PlainPin = Field(default=None, description="Who pinned it to what, when and why.")
    generations: tuple[GenerationStatus, ...] = Field(description="Those that exist, newest first.")
    drift: tuple[DriftStatus, ...] = Field(default=(), description="What was changed by hand.")
    source: SourceStatus | None = Field(
        description="Null when it is not known, or when the settings have no such service."
    )

    def is_pinned_to(self, generation: str) -> bool:
        """Return whether a rollback holds the service to a generation."""
        return isinstance(self.pin, Pinned) and self.pin.generation == generation


class ImageStatus(_Model):
    """One image version that a generation runs or that the checkout gives."""

    image: str
    version: str
    found: bool = Field(description="The catalog holds it.")
    baked_at: str = Field(description="In ISO 8601; empty when the catalog does not say.")
    age: int | None = Field(description="Seconds since then; null when the catalog does not say.")
    generations: tuple[str, ...] = Field(default=(), description="Those that run it.")
    of_source: bool = Field(description="It is the checkout's version.")


class LockStatus(_Model):
    """When a newer upstream of an image was last looked for."""

    image: str
    age: int = Field(description="Seconds since `./immutable update` wrote the lock.")
    old: bool = Field(description="It is worth looking again.")


class StackStatus(_Model):
    """What `--json` writes."""

    format: Literal[1] = FORMAT
    stack: str
    project: str
    target: str
    services: tuple[ServiceStatus, ...] = ()
    images: tuple[ImageStatus, ...] = ()
    locks: tuple[LockStatus, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="What is not known, and why.")

    @property
    def differs(self) -> bool:
        """Return whether something was changed by hand, or is live and not healthy."""
        live = [
            generation
            for service in self.services
            for generation in service.generations
            if generation.state == "live"
        ]
        sick = any(not server.healthy for generation in live for server in generation.servers)
        return sick or any(service.drift for service in self.services)


def render_schema() -> dict[str, Any]:
    """Return the JSON Schema of `--json`."""
    schema = StackStatus.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
