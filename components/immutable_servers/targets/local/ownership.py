"""Whose the things on this machine are: the state in a stack's `owner.json`."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

from immutable_servers.contract.ownership import Holdings, Kind, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError
from immutable_servers.system.files import read_json, write_json
from immutable_servers.targets.local import consoles, layout
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.left_stacks import LeftStacks
from immutable_servers.targets.local.leftovers import make_kinds


class LocalOwnership(Ownership):
    """Looks through the data folder, the folder for sockets, and the processes of this user."""

    def __init__(self, fleets: LocalFleets) -> None:
        self.unasked = make_kinds(fleets.balancer)
        self.left_stacks = LeftStacks(fleets, self)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """What is proved to be nobody's first, then what states are asked for."""
        return {**self.unasked, **self.left_stacks.kinds}

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read the file in the stack's folder; None also when it cannot be read."""
        try:
            found = read_json(layout.owner_file(scope))
            return Owner.from_plain(found) if found else None
        except (ValueError, TypeError):
            return None

    def list_owners(self) -> Sequence[Owner]:
        """Read the file of each stack of this user."""
        folders = sorted(layout.stacks_dir().glob("*/*/"))
        found = (self.find_owner(Scope(one.parent.name, one.name)) for one in folders)
        return [owner for owner in found if owner]

    def _write_owner(self, owner: Owner) -> None:
        write_json(layout.owner_file(Scope(owner.project, owner.stack)), asdict(owner))

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Remove keys without a fleet and what is sure of the machine; cut consoles that grew."""
        with suppress(OSError):
            _remove_keys(scope, declared)
        for kind in self.unasked.values():
            with suppress(OSError, ImmutableError):
                for leftover in kind.find(_ask_nobody):
                    if leftover.sure:
                        kind.remove(leftover.name, _ask_nobody)
        consoles.bound_consoles(scope)


def _ask_nobody(_owner: Owner | None) -> Holdings:
    return Holdings(unasked="an update asks nobody")


def _remove_keys(scope: Scope, declared: Collection[str]) -> None:
    """Remove the folders of generations that hold no fleet and that this run does not declare."""
    for folder in layout.generations_dir(scope).glob("*/"):
        is_empty = read_record(folder) is None and not (folder / "servers").exists()
        if is_empty and folder.name not in declared:
            layout.remove_folder(folder)
