"""Whose the toy's things are, what is left over of them, and what was changed by hand."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from immutable_servers.contract.ownership import Ask, Leftover, Owner
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Drift, FleetSpec, Scope


class InstantOwners(Target):
    """The part of the toy that `status`, `sweep` and the begin of an update ask."""

    settings: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.settings["folder"])

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        """Compare the folders with their specs."""
        return [
            drift
            for file in sorted(self.folder.glob(f"fleets/{scope.service}-*/spec.json"))
            for drift in find_drift(file)
        ]

    # whose things they are
    def find_owner(self, scope: Scope) -> Owner | None:
        """Read the file."""
        file = self._owner_file(scope)
        return Owner(**json.loads(file.read_text())) if file.exists() else None

    def begin_update(self, owner: Owner, declared: Collection[str]) -> None:
        """Write the file, and remove keys without a fleet that nobody declares."""
        scope = Scope(owner.project, owner.stack)
        self._owner_file(scope).write_text(json.dumps(asdict(owner)))
        fleets = {file.parent.name for file in self.folder.glob("fleets/*/spec.json")}
        for key in self.folder.glob(f"keys/{scope.name}-*"):
            if key.name.removeprefix(f"{scope.name}-") not in {*fleets, *declared}:
                key.unlink()

    def find_leftovers(self, ask: Ask) -> Sequence[Leftover]:
        """Ask the state of each fleet's and key's owner."""
        return [one for one, _ in self._find_leftovers(ask)]

    def remove_leftover(self, leftover: Leftover, ask: Ask) -> bool:
        """Look again, and remove the file or the folder, unless it serves."""
        for one, scope in self._find_leftovers(ask):
            if (one.kind, one.name) == (leftover.kind, leftover.name):
                if one.kind == "fleet":
                    self.delete_fleet(scope)
                self.delete_key(scope)
                return True
        return False

    def _find_leftovers(self, ask: Ask) -> Iterator[tuple[Leftover, Scope]]:
        for owner_file in sorted(self.folder.glob("owners/*.json")):
            owner = Owner(**json.loads(owner_file.read_text()))
            held = ask(owner)
            if held.run == "under way":
                continue
            for kind, name, scope in self._list_things(Scope(owner.project, owner.stack)):
                if name not in held.names:
                    serves = bool(self.find_traffic(scope).get(scope.generation))
                    why = held.unasked or "its state does not know it"
                    sure = not serves and not held.unasked and held.run == "none"
                    yield Leftover(kind, name, why, sure=sure), scope

    def _list_things(self, stack: Scope) -> Iterator[tuple[str, str, Scope]]:
        for file in sorted(self.folder.glob("fleets/*/spec.json")):
            scope = FleetSpec.from_plain(json.loads(file.read_text())).scope
            if (scope.project, scope.stack) == (stack.project, stack.stack):
                yield "fleet", file.parent.name, scope
        for key in sorted(self.folder.glob(f"keys/{stack.name}-*")):
            name = key.name.removeprefix(f"{stack.name}-")
            service, _, generation = name.rpartition("-")
            yield "key", name, Scope(stack.project, stack.stack, service, generation)

    def _owner_file(self, scope: Scope) -> Path:
        file = self.folder / "owners" / f"{scope.project}-{scope.stack}.json"
        file.parent.mkdir(exist_ok=True)
        return file


def find_drift(file: Path) -> Iterator[Drift]:
    """Yield what differs of a fleet's folder from its spec."""
    spec = FleetSpec.from_plain(json.loads(file.read_text()))
    wanted = {f"server-{number}" for number in range(spec.servers)}
    found = {server.name for server in file.parent.glob("server-*")}
    name, generation = f"{spec.scope.service}-{spec.scope.generation}", spec.scope.generation
    for server in sorted(wanted - found):
        yield Drift(generation, "missing", f"{name}{server[6:]}", "its file is gone")
    for server in sorted(found - wanted):
        yield Drift(generation, "added", f"{name}{server[6:]}", "its file is there")
