"""Asks an owner's state what it holds: the file of a file backend, or this run's backend."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from immutable_servers.contract.ownership import Ask, Holdings, Owner
from immutable_servers.driver.engine.locks import is_stale
from immutable_servers.driver.engine.stack import MISSING, Stack
from immutable_servers.state.backend import (
    digest_backend,
    find_backend,
    find_locks_dir,
    find_state_file,
    normalize,
    read_resources,
)
from immutable_servers.state.claims import is_here

NOBODY = "nobody recorded which state holds it; the next update of it does"


def start_asking(stack: Stack) -> Ask:
    """Return a function that asks the state of an owner, where this run can."""

    def ask(owner: Owner | None) -> Holdings:
        if owner is None:
            return Holdings(unasked=NOBODY)
        if owner.in_files:
            return ask_file(owner)
        if owner.digest == digest_backend(normalize(find_backend(stack.root), stack.root)):
            return ask_engine(stack, owner)
        return Holdings(unasked=f"its state is in {owner.backend}, which this run does not use")

    return ask


def ask_file(owner: Owner) -> Holdings:
    """Return what a file backend on this machine holds of a stack; of another's nothing is known.

    The same path may hold another state here, which knows none of the stack's things.
    """
    if not is_here(owner):
        host = owner.host or "a machine that nobody recorded; the next update does"
        return Holdings(unasked=f"its state is in files of {host}")
    folder = owner.folder
    if not folder.is_dir():
        return Holdings(unasked=f"the folder of its state, {folder}, is gone or not mounted")
    # The locks first: a run that ends in between has written all that it made.
    locks = find_locks_dir(folder, owner.project, owner.stack).glob("*.json")
    busy = any(not is_stale(lock) for lock in locks)
    try:
        file = find_state_file(folder, owner.project, owner.stack)
        names = _list_names(read_resources(file)) if file else frozenset()
    except (OSError, ValueError) as error:
        return Holdings(unasked=f"its state cannot be read: {error}")
    return Holdings(exists=bool(file), names=names, run="under way" if busy else "none")


def ask_engine(stack: Stack, owner: Owner) -> Holdings:
    """Return what the backend of this run holds of a stack; it does not know of runs."""
    name = f"{owner.organization}/{owner.project}/{owner.stack}"
    done = replace(stack, name=name).read("stack", "export")
    if done.returncode and MISSING in done.stderr:
        return Holdings()
    try:
        found = json.loads(done.stdout)["deployment"].get("resources") or []
    except (ValueError, KeyError, TypeError, AttributeError):
        return Holdings(unasked=f"its state cannot be read: {done.stderr.strip()[-200:]}")
    return Holdings(exists=True, names=_list_names(found), run="unknown")


def _list_names(resources: list[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(one.get("urn", "")).rpartition("::")[2] for one in resources)
