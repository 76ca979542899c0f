"""Whose the toy's things are, and what is left over of them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from instant_world import World

from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.ownership import Kind, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.targets.shared.leftovers import FLEET, make_fleet_kind


class InstantOwnership(Ownership):
    """Owners are files; fleets that their states do not know are left over."""

    def __init__(self, world: World, fleets: Fleets) -> None:
        self.world, self.fleets = world, fleets

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return {FLEET: make_fleet_kind(self._find_scopes, self, self.fleets)}

    def find_owner(self, scope: Scope) -> Owner | None:
        file = self._owner_file(scope)
        return Owner.from_plain(json.loads(file.read_text())) if file.exists() else None

    def list_owners(self) -> list[Owner]:
        files = sorted(self.world.folder.glob("owners/*.json"))
        return [Owner.from_plain(json.loads(file.read_text())) for file in files]

    def _write_owner(self, owner: Owner) -> None:
        self.world.write(self._owner_file(Scope(owner.project, owner.stack)), asdict(owner))

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Remove keys without a fleet that nobody declares."""
        fleets = {folder.name for folder, _ in self.world.list_fleets()}
        patterns = (f"keys/{scope.name}-*", f"people/{scope.name}-*")
        for key in [key for pattern in patterns for key in self.world.folder.glob(pattern)]:
            if key.name.removeprefix(f"{scope.name}-") not in {*fleets, *declared}:
                self.world.delete_key(key.name)

    def _find_scopes(self) -> list[Scope]:
        return [spec.scope for _, spec in self.world.list_fleets()]

    def _owner_file(self, scope: Scope) -> Path:
        return self.world.path("owners", f"{scope.project}-{scope.stack}.json")
