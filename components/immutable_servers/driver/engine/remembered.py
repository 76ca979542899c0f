"""Reads from a state where a stack's things are: enough to show and delete one without a file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.driver.engine.outputs import find_state_dir
from immutable_servers.driver.engine.stack import load_stack
from immutable_servers.driver.project.files import list_stacks, read_project_name
from immutable_servers.state.backend import find_state_file, list_state_files, read_resources
from immutable_servers.targets.place import Place, read_place

Resources = Sequence[Mapping[str, Any]]


def find_place(root: Path, stack: str) -> Place | None:
    """Return the place that a stack's resources name; None when no state holds the stack.

    Without a target's name when none of its resources names a place.
    """
    scope = Scope(read_project_name(root), stack)
    found = _read(root, scope)
    if found is None:
        return None
    for resource in found:
        with suppress(KeyError, ValueError, TypeError, AttributeError):
            return replace(read_place(resource["inputs"]), scope=scope)
    return Place("", {}, scope)


def find_without_file(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the stacks that a state in files holds and that have no file, with their resources.

    Nobody is asked for those of another backend: other checkouts have the files of some.
    """
    folder, project = find_state_dir(root), read_project_name(root)
    known = list_stacks(root)
    for name in list_state_files(folder, project) if folder else ():
        if name not in known:
            yield name, len(_read(root, Scope(project, name)) or ())


def render_config(place: Place) -> str:
    """Return the text of a stack file that says where the things are, and nothing else."""
    values = {"target": place.target, place.target: place.settings}
    config = {f"{place.scope.project}:{key}": value for key, value in values.items() if key}
    return json.dumps({"config": config})  # which is YAML too


def _read(root: Path, scope: Scope) -> Resources | None:
    """Return a stack's resources; None when no state holds it, or it cannot be read."""
    folder = find_state_dir(root)
    try:
        if folder is not None:
            file = find_state_file(folder, scope.project, scope.stack)
            return read_resources(file) if file else None
        done = load_stack(root, scope.stack, config="").read("stack", "export")
        found = json.loads(done.stdout)["deployment"].get("resources") or []
        return [dict(one) for one in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
