"""What is left over of stacks: fleets and balancers that their state does not know, whole stacks.

A stack's folder is its state's, which is asked. A stack whose state cannot be asked, or that still
serves, is listed and goes only when it is named.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from immutable_servers.contract.ownership import Ask, Holdings, Kind, Leftover, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.probes import remove_stale_probes
from immutable_servers.targets.shared.leftovers import (
    FLEET,
    describe_fleet,
    find_doubt,
    find_weight,
    is_unknown,
    make_serving_error,
    read_name,
)

STACK, BALANCER = "stack", "balancer"
_BALANCER_NAME = "balancer"
"""The name of its resource."""


class LeftStacks:
    """The kinds of leftovers that lie in the folders of stacks."""

    def __init__(self, fleets: LocalFleets, ownership: Ownership) -> None:
        self.fleets, self.balancer, self.ownership = fleets, fleets.balancer, ownership

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Whole stacks, then what living ones do not know."""
        return {
            STACK: Kind(self._find_stacks, self._remove_stack),
            FLEET: Kind(self._find_fleets, self._remove_fleet),
            BALANCER: Kind(self._find_balancers, self._remove_balancer),
        }

    def _ask_all(self, ask: Ask) -> Iterator[tuple[Scope, Holdings]]:
        """Yield every stack of this machine with what its state holds."""
        for folder in sorted(layout.stacks_dir().glob("*/*/")):
            scope = Scope(folder.parent.name, folder.name)
            yield scope, ask(self.ownership.find_owner(scope))

    def _find_stacks(self, ask: Ask) -> Iterator[Leftover]:
        for scope, held in self._ask_all(ask):
            folder = layout.stack_dir(scope)
            things = {path.name for path in folder.iterdir()} - {layout.OWNER}
            if held.exists or not (things - {"probes"} or not (things or held.unasked)):
                continue
            serves = bool(self.balancer.find_process(scope))
            why = [find_doubt(held) or "its state holds no such stack"]
            why += ["its balancer runs"] if serves else []
            sure = not held.unasked and not serves
            size = layout.measure(folder)
            yield Leftover(STACK, f"{scope.project}/{scope.stack}", "; ".join(why), size, sure)

    def _find_fleets(self, ask: Ask) -> Iterator[Leftover]:
        for stack, held in self._ask_all(ask):
            for path in sorted(layout.generations_dir(stack).glob("*/")) if held.exists else ():
                scope = _read_scope(stack, path)
                if is_unknown(scope, held):
                    what = FLEET if read_record(path) else "login key"
                    size = layout.measure(path)
                    yield describe_fleet(scope, held, self.balancer, what=what, size=size)

    def _find_balancers(self, ask: Ask) -> Iterator[Leftover]:
        for scope, held in self._ask_all(ask):
            is_known = _BALANCER_NAME in held.names or held.run == "under way"
            if held.exists and not is_known and layout.balancer_dir(scope).exists():
                doubt, serves = find_doubt(held), bool(self.balancer.find_process(scope))
                why = ["balancer that the stack's state does not know", doubt]
                why += ["it runs"] if serves else []
                name = f"{scope.project}/{scope.stack}/{BALANCER}"
                text = "; ".join(filter(None, why))
                yield Leftover(BALANCER, name, text, sure=not serves and not doubt)

    def _remove_stack(self, name: str, _ask: Ask) -> bool:
        """Remove all of a stack: its balancer first, so that it sends nobody to a dead server."""
        scope = Scope(*name.split("/"))
        self.balancer.stop(scope)
        remove_stale_probes(scope)
        for folder in sorted(layout.generations_dir(scope).glob("*/")):
            self.fleets.delete_left(_read_scope(scope, folder), lambda: True)
        layout.remove_empty_folders(scope)
        return True

    def _remove_fleet(self, name: str, ask: Ask) -> bool:
        scope = read_name(name)

        def is_left() -> bool:
            # A run that began meanwhile may have adopted it.
            found = [leftover for leftover in self._find_fleets(ask) if leftover.name == name]
            if found and find_weight(self.balancer, scope):
                raise make_serving_error(found[0])
            return bool(found)

        removed = self.fleets.delete_left(scope, is_left)
        layout.remove_empty_folders(scope)
        return removed

    def _remove_balancer(self, name: str, _ask: Ask) -> bool:
        project, stack, _ = name.split("/")
        scope = Scope(project, stack)
        if self.balancer.find_process(scope):
            raise make_serving_error(Leftover(BALANCER, name, "its HAProxy runs"))
        self.balancer.stop(scope)
        return True


def _read_scope(stack: Scope, folder: Path) -> Scope:
    return read_name(f"{stack.project}/{stack.stack}/{folder.name}")
