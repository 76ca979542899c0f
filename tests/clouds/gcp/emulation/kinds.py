"""The kinds of things that have Google's plain methods: get, list, insert, delete, patch, update.

Behaviour is no part of the discovery documents: what each kind refuses is written here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clouds.gcp.emulation.refusals import Refusal

if TYPE_CHECKING:
    from clouds.gcp.emulation.world import World

PLAIN = frozenset({"get", "list", "insert", "delete"})
CHANGED = PLAIN | {"patch", "update"}
LABELLED = PLAIN | {"setLabels"}
Check = Callable[["World", str, Mapping[str, Any]], None]


def accept(world: "World", path: str, thing: Mapping[str, Any]) -> None:
    """Refuse nothing."""
    del world, path, thing


@dataclass(frozen=True)
class Kind:
    """How things of a kind behave.

    Attributes:
        methods: Those that need no code of the kind's own.
        needed: Fields without which an insert is refused.
        defaults: What an insert has when it does not say otherwise.
        fingerprint: Whether a change needs the last one.
        users: Kinds that keep a thing from being deleted while they refer to it.
        check: Refuses what the schema allows and the kind does not.
    """

    methods: frozenset[str] = PLAIN
    needed: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: bool = False
    users: tuple[str, ...] = ()
    check: Check = accept


KINDS: dict[str, Kind] = {}
"""By the collection's name in the discovery document."""


def find_kind(collection: str) -> Kind:
    """Return how a kind behaves.

    Raises:
        Refusal: It is not emulated.
    """
    if collection not in KINDS:
        raise Refusal("notEmulated", f"{collection} are not emulated")
    return KINDS[collection]


def need(thing: Mapping[str, Any], *fields: str) -> None:
    """Refuse a thing that lacks a field."""
    for one in fields:
        if thing.get(one) in (None, "", [], {}):
            raise Refusal(
                "invalid",
                f"Invalid value for field 'resource.{one}': ''. {one} is required",
                code=400,
            )


__all__ = ["CHANGED", "KINDS", "LABELLED", "PLAIN", "Check", "Kind", "find_kind", "need"]
