"""Tidies in a cloud account as each update begins, and finds what no stack owns there."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.ownership import Kind, Leftover, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.access import CloudAccess
from immutable_servers.targets.cloud.ends import Thing, make_ended_kind, make_kind
from immutable_servers.targets.shared.leftovers import (
    FLEET,
    STACK,
    Part,
    make_fleet_kind,
    make_stack_kind,
)

HALF = "half artifact"
Ended = Mapping[str, tuple[Callable[[], Iterable[Thing]], Callable[[str], object]]]
"""How things that carry their own end are found and removed, by what a reader calls them."""


class CloudOwnership(Ownership):
    """Owners and leftovers of an account in which ways to servers and probes carry their ends."""

    access: CloudAccess
    fleets: Fleets

    def _tidy(self, scope: Scope, declared: Collection[str]) -> None:
        """Close ways to servers and end probes that dead runs have left."""
        del declared
        for tidy in (self.access.close_stale_ways, self.access.remove_probes):
            with suppress(ImmutableError):
                tidy(scope)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """What has its own end, images that were not finished, and what states do not know."""
        return {
            **{name: make_ended_kind(name, *both) for name, both in self._list_ended().items()},
            HALF: make_kind(self._find_halves, self._remove_half),
            FLEET: make_fleet_kind(self.find_scopes, self, self.fleets),
            **self._list_others(),
        }

    @abstractmethod
    def _list_ended(self) -> Ended:
        """Return what has its own end, in the order in which it can be removed."""

    @abstractmethod
    def _list_others(self) -> Mapping[str, Kind]:
        """Return the cloud's own kinds, which go last."""

    @abstractmethod
    def find_scopes(self) -> Sequence[Scope]:
        """Return the generations of all stacks of ours of which something exists."""

    def _find_halves(self) -> Iterator[Leftover]:
        """Yield images of ours that no bake has finished.

        Not abstract: where an image has an end until it is whole there are none beside.
        """
        yield from ()

    def _remove_half(self, name: str) -> None:
        """Remove such an image; where there are none there is nothing to do."""
        del name


class NamedOwnership(CloudOwnership):
    """Owners and leftovers where names say whose a thing is, and until when a bake may have it.

    Attributes:
        ended: Our words for what has an end, and the cloud's, in the order in which they can go.
    """

    ended: ClassVar[Mapping[str, str]]

    @abstractmethod
    def write_owner(self, owner: Owner) -> None:
        """Write an owner to what its stack has once; without that there is no place."""

    def _write_owner(self, owner: Owner) -> None:
        self.write_owner(owner)

    def _list_ended(self) -> Ended:
        return {
            kind: (partial(self._find, word), partial(self._remove, word))
            for kind, word in self.ended.items()
        }

    @abstractmethod
    def _find(self, word: str) -> Iterator[Thing]:
        """Yield what has an end of a kind, by the cloud's word for it."""

    @abstractmethod
    def _remove(self, word: str, name: str) -> None:
        """Remove what has a name, of a kind by the cloud's word for it."""

    def _list_others(self) -> Mapping[str, Kind]:
        return {STACK: make_stack_kind(self._find_stack_parts, self.find_scopes, self)}

    @abstractmethod
    def _find_stack_parts(self) -> Iterator[Part]:
        """Yield what stacks have beside generations, in the order in which it can go."""
