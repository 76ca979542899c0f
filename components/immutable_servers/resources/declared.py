"""Tells providers what the run that calls them declares.

The engine calls `delete` alike for a resource that goes and for one whose part another resource has
taken over in the same run: its replacement, or the one that stood in the state under another name.
A delete that takes traffic away has to distinguish the two.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immutable_servers.system import places
from immutable_servers.system.engine_watch import find_engine
from immutable_servers.system.files import read_json, write_json
from immutable_servers.system.supervisor import Stat

DESTROY = {b"destroy", b"down", b"dn"}
"""The engine's command and its other names."""
FOLDER = "declared"
"""Below the project's own folder, which is the working directory of programs and providers: a file
for each stack, written by its last update."""


@dataclass(frozen=True)
class Declared:
    """What the program of a run declares.

    Attributes:
        target: The target of its balancer and fleets.
        services: The services that have a pointer, each with the plain form of its `Front`.
        generations: Names such as `web-3f2a9c41`.
    """

    target: str = ""
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    generations: frozenset[str] = frozenset()


def note_declared(
    stack: str,
    target: str,
    services: Mapping[str, Mapping[str, Any]],
    generations: Collection[str],
) -> None:
    """Note what an update declares, before it registers anything; nothing for a destroy."""
    engine = find_engine()
    if engine is None or _destroys(engine):
        return
    found = {
        "engine": [engine.pid, engine.started],
        "target": target,
        "services": {**services},
        "generations": sorted(generations),
    }
    write_json(_find_folder() / f"{stack}.json", found)


def find_declared() -> Declared:
    """Return what the run of this provider declares: nothing when it deletes the whole stack.

    The engine runs no program then, and what an earlier run noted is of another process. The note
    is found by the engine alone, since a resource may name a stack as it was before a rename.
    """
    engine = find_engine()
    for file in _find_folder().glob("*.json") if engine else ():
        found = read_json(file) or {}
        if engine and found.get("engine") == [engine.pid, engine.started]:
            return Declared(found["target"], found["services"], frozenset(found["generations"]))
    return Declared()


def _find_folder() -> Path:
    return Path.cwd() / places.PROJECT_FOLDER / FOLDER


def _destroys(engine: Stat) -> bool:
    """Return whether the engine was asked to delete the stack, with the program run beside."""
    words = Path(f"/proc/{engine.pid}/cmdline").read_bytes().split(b"\0")
    return not DESTROY.isdisjoint(words[1:2])
