"""Keeps two states from changing one stack at a target.

Project and stack name a target's things. Two checkouts with states of their own that share both
names would each retire what the other launched.
"""

import os
from collections.abc import Callable
from pathlib import Path

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError
from immutable_servers.state.backend import (
    digest_backend,
    find_backend,
    find_state_file,
    normalize,
    shorten,
)
from immutable_servers.system.machine import find_machine

VARIABLE = "IMMUTABLE_TAKE_OVER"
"""The name of a stack that this run may take over from another state."""


def make_owner(root: Path, organization: str, scope: Scope) -> Owner:
    """Return this run's state as the owner of a stack."""
    url, machine = normalize(find_backend(root), root), find_machine()
    return Owner(
        backend=shorten(url),
        digest=digest_backend(url),
        organization=organization,
        project=scope.project,
        stack=scope.stack,
        checkout=str(root),
        machine=machine.id,
        host=machine.host,
    )


def claim(target: Target, ours: Owner, warn: Callable[[str], None]) -> None:
    """Refuse a stack that another state holds; take it over, with a warning, if that is gone.

    Raises:
        SettingsError: Another state holds the stack, or cannot be asked.
    """
    found = target.ownership.find_owner(Scope(ours.project, ours.stack))
    if found is not None and not found.is_same(ours):
        if not is_gone(found) and os.environ.get(VARIABLE) != ours.stack:
            raise _is_held(found, ours)
        warn(
            f"The stack {ours.stack} is taken over from {found.checkout},"
            f" whose state was {found.backend}"
        )


def is_gone(owner: Owner) -> bool:
    """Return whether a state was a file on this machine that holds the stack no more.

    A path says nothing of the files of another machine.
    """
    if not owner.in_files or not is_here(owner):
        return False
    folder = owner.folder
    return find_state_file(folder, owner.project, owner.stack) is None


def is_here(owner: Owner) -> bool:
    """Return whether an owner's last run was on this machine.

    A record of an earlier program does not say it, and is not believed to.
    """
    machine = find_machine()
    return owner.is_on(machine.id, machine.host)


def _is_held(found: Owner, ours: Owner) -> SettingsError:
    host = found.host or "a machine that the record does not name"
    facts = [
        f"It was last updated from {found.checkout} on {host}, with its state in {found.backend}",
        f"This run's state is in {ours.backend} on {ours.host}",
    ]
    if found.in_files and not is_here(found):
        facts.append("From here nobody can see whether that state is gone")
    return SettingsError(
        f"The stack {ours.stack} of {ours.project} belongs to another checkout",
        facts=facts,
        todo=f"Give this stack another name: copy Pulumi.{ours.stack}.yaml, and name the copy. "
        f"To take it over with its servers: {VARIABLE}={ours.stack} ./immutable up {ours.stack}",
    )
