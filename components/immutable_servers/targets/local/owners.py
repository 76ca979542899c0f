"""Whose a stack's folder is: the state that holds the stack, in `owner.json`."""

from dataclasses import asdict

from immutable_servers.targets.local import layout
from immutable_servers.targets.ownership import Owner
from immutable_servers.targets.values import Scope


def find_owner(scope: Scope) -> Owner | None:
    """Return whose a stack's things are; None when nobody recorded it, or it cannot be read."""
    try:
        found = layout.read_json(layout.owner_file(scope))
        return Owner(**found) if found else None
    except (ValueError, TypeError):
        return None


def write_owner(owner: Owner) -> None:
    """Record whose a stack's things are."""
    scope = Scope(owner.project, owner.stack)
    if find_owner(scope) != owner:
        layout.write_json(layout.owner_file(scope), asdict(owner))
