"""Whose the toy's things are, and what is left over of them."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from instant_world import World

from immutable_servers.contract.ownership import Ask, Kind, Leftover, Owner, Ownership
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope


class InstantOwnership(Ownership):
    """Owners are files; fleets and keys that their states do not know are left over."""

    def __init__(self, world: World, target: Target) -> None:
        self.world, self.target = world, target

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Fleets before the keys that go with them."""
        return {
            name: Kind(partial(self._find, name), partial(self._remove, name))
            for name in ("fleet", "key")
        }

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read the file."""
        file = self._owner_file(scope)
        return Owner(**json.loads(file.read_text())) if file.exists() else None

    def _write_owner(self, owner: Owner) -> None:
        self.world.write(self._owner_file(Scope(owner.project, owner.stack)), asdict(owner))

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Remove keys without a fleet that nobody declares."""
        fleets = {folder.name for folder, _ in self.world.list_fleets()}
        for key in self.world.folder.glob(f"keys/{scope.name}-*"):
            if key.name.removeprefix(f"{scope.name}-") not in {*fleets, *declared}:
                key.unlink()

    def _find(self, kind: str, ask: Ask) -> Iterator[Leftover]:
        """Ask the state of each fleet's and key's owner."""
        for file in sorted(self.world.folder.glob("owners/*.json")):
            owner = Owner(**json.loads(file.read_text()))
            held = ask(owner)
            if held.run == "under way":
                continue
            for scope in self._list(kind, Scope(owner.project, owner.stack)):
                name = f"{scope.service}-{scope.generation}"
                if name not in held.names:
                    serves = bool(self.world.read_weights(scope.service).get(scope.generation))
                    why = held.unasked or "its state does not know it"
                    sure = not serves and not held.unasked and held.run == "none"
                    yield Leftover(kind, f"{scope.project}/{scope.stack}/{name}", why, sure=sure)

    def _remove(self, kind: str, name: str, _ask: Ask) -> bool:
        project, stack, title = name.split("/")
        service, _, generation = title.rpartition("-")
        scope = Scope(project, stack, service, generation)
        if kind == "fleet":
            self.target.fleets.delete(scope)
        self.target.access.delete_key(scope)
        return True

    def _list(self, kind: str, stack: Scope) -> Iterator[Scope]:
        if kind == "fleet":
            for _, spec in self.world.list_fleets():
                if (spec.scope.project, spec.scope.stack) == (stack.project, stack.stack):
                    yield spec.scope
            return
        for key in sorted(self.world.folder.glob(f"keys/{stack.name}-*")):
            service, _, generation = key.name.removeprefix(f"{stack.name}-").rpartition("-")
            yield Scope(stack.project, stack.stack, service, generation)

    def _owner_file(self, scope: Scope) -> Path:
        return self.world.path("owners", f"{scope.project}-{scope.stack}.json")
