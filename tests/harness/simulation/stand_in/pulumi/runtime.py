"""What the simulated engine is told of each registration."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

PROJECT, STACK = "immutable-servers", "dev"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that is not known: the id of a resource that a run leaves out."""


class Goal(NamedTuple):
    """A resource as the program wants it; `provider` is None for a component."""

    urn: str
    name: str
    provider: Any
    inputs: dict[str, Any]
    dependencies: set[str]
    parent: str
    opts: Any


class Done(Protocol):
    """What came of it."""

    id: str | None
    outputs: Mapping[str, Any]


class Monitor(Protocol):
    """The engine's side of a run."""

    def register(self, goal: Goal) -> Done | None:
        """Bring a resource about; None when that failed."""

    def export(self, name: str, value: Any, resources: Any) -> None:
        """Keep an output of the stack."""

    def say(self, text: str) -> None:
        """Keep what the program says."""


_monitor: list[Monitor] = []


def set_monitor(monitor: Monitor) -> None:
    """Have the registrations from now on go to a run."""
    _monitor[:] = [monitor]


def get_monitor() -> Monitor:
    """Return the run."""
    return _monitor[0]


class Stack:
    """The stack's own resource; what it exports is there at once, so nobody waits for it."""

    _outputs_registered = True


def get_root_resource() -> Stack:
    """Return the stack's own resource."""
    return Stack()


def is_dry_run() -> bool:
    """Return False: previews change nothing, so nothing is simulated in them."""
    return False


def make_urn(kind: str, name: str, parent: str) -> str:
    """Return a name as the engine makes it, with the types of all parents."""
    above = f"{parent.split('::')[2]}$" if parent else ""
    return f"urn:pulumi:{STACK}::{PROJECT}::{above}{kind}::{name}"
