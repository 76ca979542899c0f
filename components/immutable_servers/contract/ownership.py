"""The role that knows whose a target's things are, and removes what no stack owns.

Targets keep things of several checkouts and stacks. What is left over, and whose it is, is decided
by asking the state, never by a name or an age alone.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from immutable_servers.contract.plain import PlainForm
from immutable_servers.contract.values import Scope

FILES = "file://"
"""How the URL of a backend begins whose state is files."""


@dataclass(frozen=True)
class Owner(PlainForm):
    """The state that holds a stack, as a target keeps it with the stack's things.

    Attributes:
        backend: URL of the state's backend, without credentials and options; for a reader.
        digest: Distinguishes backends.
        organization: As the engine names it.
        checkout: The folder of the last run, for a reader.
        machine: The id of the machine of the last run; empty where nobody can know, and in a record
            of an earlier program.
        host: That machine's name.
    """

    backend: str
    digest: str
    organization: str
    project: str
    stack: str
    checkout: str
    machine: str = ""
    host: str = ""

    @property
    def in_files(self) -> bool:
        """Whether the state is files: their path means something on one machine only."""
        return self.backend.startswith(FILES)

    @property
    def folder(self) -> Path:
        """The folder of a state in files."""
        return Path(self.backend.removeprefix(FILES))

    def is_same(self, other: "Owner") -> bool:
        """Return whether both are one stack of one state.

        The same path on two machines is two states. Where a record does not name its machine, the
        path alone has to do.
        """
        machines = {self.machine, other.machine} - {""}
        mine = (self.digest, self.organization, self.project, self.stack)
        theirs = (other.digest, other.organization, other.project, other.stack)
        return mine == theirs and not (self.in_files and len(machines) > 1)

    def is_on(self, machine: str, host: str) -> bool:
        """Return whether the last run was on this machine for sure."""
        return bool(machine) and (self.machine, self.host) == (machine, host)


@dataclass(frozen=True)
class Holdings:
    """What a state says of a stack, asked now.

    Attributes:
        unasked: Why it could not be asked; empty when it was.
        exists: The state holds the stack.
        names: The names of the stack's resources.
        run: Whether a run changes the stack now.
    """

    unasked: str = ""
    exists: bool = False
    names: frozenset[str] = frozenset()
    run: Literal["none", "under way", "unknown"] = "none"


Ask = Callable[[Owner | None], Holdings]
"""Asks the state of an owner; None is an owner that nobody recorded."""


@dataclass(frozen=True)
class Leftover:
    """Something at a target that no stack owns.

    Attributes:
        kind: What it is, such as `fleet`, `probe`, `machine`.
        name: Its name at the target, unique within its kind.
        why: Why it counts as left over.
        size: Bytes that it takes; 0 where it stores nothing.
        sure: No stack owns it, and it serves nobody. What is not sure is removed only when it is
            named.
    """

    kind: str
    name: str
    why: str
    size: int = 0
    sure: bool = True


@dataclass(frozen=True)
class Kind:
    """A kind of leftover: how it is found and removed.

    Attributes:
        find: Yields what there is now.
        remove: Removes one by its name, after it was just found again; returns whether it did, as
            far as it looked again under a lock of its own.
    """

    find: Callable[[Ask], Iterator[Leftover]]
    remove: Callable[[str, Ask], bool]


class Ownership:
    """Whose things a target holds. A target that a single state uses needs nothing of it."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of leftovers by name, in the order in which they can be removed."""
        return {}

    def find_owner(self, scope: Scope) -> Owner | None:
        """Return whose a stack's things are; None when nobody recorded it."""
        del scope
        return None

    def list_owners(self) -> Sequence[Owner]:
        """Return whose the stacks at the target are, as far as somebody recorded it."""
        return ()

    def begin_update(self, owner: Owner, declared: Collection[str]) -> None:
        """Record whose the stack's things are, and tidy what earlier runs that died have left.

        Called as each update begins, while no other run changes the stack. What is removed without
        a question can be proved to serve nobody: keys without a fleet, probes and half artifacts of
        runs that are gone. Fleets are the graph's matter.

        Args:
            owner: This run's state.
            declared: Names of the generations that this run declares, such as `web-3f2a9c41`.
        """
        if self.find_owner(Scope(owner.project, owner.stack)) != owner:
            self._write_owner(owner)
        self._tidy(Scope(owner.project, owner.stack), declared)

    def _write_owner(self, owner: Owner) -> None:
        """Record whose a stack's things are, as far as there is a place for it yet."""
        del owner

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Remove what dead runs left; what cannot go now fails no update."""
        del scope, declared

    def find_leftovers(self, ask: Ask) -> Sequence[Leftover]:
        """Return what no stack owns, in the order in which it can be removed.

        `ask` asks the state of an owner, here once for each. What a run that is under way makes is
        not left over.
        """
        ask = cache(ask)
        return [found for kind in self.kinds.values() for found in kind.find(ask)]

    def remove_leftover(self, leftover: Leftover, ask: Ask) -> bool:
        """Remove what `find_leftovers` returned, after a second look.

        Returns:
            Whether it was removed: False when it is gone, or is not left over any more.

        Raises:
            RetirementError: The balancer sends it traffic.
        """
        kind = self.kinds.get(leftover.kind)
        if kind is None or all(found.name != leftover.name for found in kind.find(cache(ask))):
            return False
        return kind.remove(leftover.name, ask)
