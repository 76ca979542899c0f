"""Whose a stack's folder is: the state that holds the stack, in `owner.json`."""

from dataclasses import asdict

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.system.files import read_json, write_json
from immutable_servers.targets.local import layout


def find_owner(scope: Scope) -> Owner | None:
    """Return whose a stack's things are; None when nobody recorded it, or it cannot be read."""
    try:
        found = read_json(layout.owner_file(scope))
        return Owner(**found) if found else None
    except (ValueError, TypeError):
        return None


def write_owner(owner: Owner) -> None:
    """Record whose a stack's things are."""
    scope = Scope(owner.project, owner.stack)
    if find_owner(scope) != owner:
        write_json(layout.owner_file(scope), asdict(owner))
