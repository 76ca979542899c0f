"""Which fleets are left over, by what their stacks' states and the balancer say."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from immutable_servers.contract.ownership import Holdings, Kind, Leftover, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.shared.leftovers import make_fleet_kind, read_name, write_name

WEB = Scope("shop", "dev", "web-admin", "3f2a9c41")
API = Scope("shop", "dev", "api", "0badcafe")
NAME = "shop/dev/web-admin-3f2a9c41"
KNOWS_API = Holdings(exists=True, names=frozenset({"api-0badcafe"}))


class World:
    """Two fleets of one stack, and a balancer with weights, or none that can be asked."""

    def __init__(self) -> None:
        self.weights: Mapping[str, int] | None = {}
        self.deleted: list[Scope] = []
        self.asked: list[Owner | None] = []

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        """Return what the test says."""
        del scope
        if self.weights is None:
            raise TrafficError("The balancer does not answer")
        return self.weights

    @property
    def kind(self) -> Kind:
        """The kind of fleets of this world."""
        fleets = SimpleNamespace(balancer=self, delete=self.deleted.append)
        return make_fleet_kind(lambda: [WEB, API], Ownership(), cast("Any", fleets))

    def find(self, held: Holdings) -> Sequence[Leftover]:
        """Return what is left over where the state holds this."""

        def ask(owner: Owner | None) -> Holdings:
            self.asked.append(owner)
            return held

        return list(self.kind.find(ask))


def test_a_fleet_that_its_state_does_not_know_is_left_over() -> None:
    """The state is asked once for a stack; what it knows is not left over."""
    world = World()
    (found,) = world.find(KNOWS_API)
    assert found == Leftover("fleet", NAME, "fleet that the stack's state does not know")
    assert len(world.asked) == 1


def test_what_a_run_is_making_is_not_left_over() -> None:
    """Its resources reach the state only when they are made."""
    assert World().find(Holdings(exists=True, run="under way")) == []


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (Holdings(unasked="its folder is gone"), "not asked: its folder is gone"),
        (
            Holdings(exists=True, names=KNOWS_API.names, run="unknown"),
            "fleet that the stack's state does not know; a run may be under way",
        ),
    ],
)
def test_a_doubt_makes_it_unsure(held: Holdings, why: str) -> None:
    """It is removed only when it is named."""
    found = World().find(held)[0]
    assert (found.why, found.sure) == (why, False)


@pytest.mark.parametrize(("weights", "share"), [({"3f2a9c41": 10}, 10), (None, 100)])
def test_what_serves_is_never_sure(weights: Mapping[str, int] | None, share: int) -> None:
    """A balancer that cannot be asked may send it everything."""
    world = World()
    world.weights = weights
    (found,) = world.find(KNOWS_API)
    assert not found.sure
    assert found.why.endswith(f"; the balancer sends it {share} % of the traffic")


def test_a_fleet_is_removed_by_its_name() -> None:
    """The name holds the whole scope, whatever hyphens are in the service's."""
    world = World()
    assert world.kind.remove(NAME, lambda _owner: KNOWS_API)
    assert world.deleted == [WEB]
    assert read_name(write_name(API)) == API
