"""Which fleets are left over, by what their stacks' states and the balancer say."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from immutable_servers.contract.ownership import Holdings, Kind, Leftover, Owner, Ownership
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.shared.leftovers import (
    Part,
    make_fleet_kind,
    make_stack_kind,
    read_name,
    write_name,
)

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


OTHER = Scope("shop", "prod")
UNKNOWN = "a run may be under way"


@pytest.mark.parametrize(
    ("held", "left"),
    [
        (Holdings(), ("no state holds it", True)),
        (Holdings(exists=True), ("no state holds it", True)),
        (Holdings(exists=True, run="unknown"), (UNKNOWN, False)),
        (Holdings(unasked="it is elsewhere"), ("not asked: it is elsewhere", False)),
        (Holdings(exists=True, names=frozenset({"balancer"})), None),
        (Holdings(run="under way"), None),
    ],
)
def test_a_stack_is_left_over_when_no_state_holds_it(
    held: Holdings, left: tuple[str, bool] | None
) -> None:
    """It is one thing with all its parts; what cannot be asked, or may be made now, is unsure."""
    kind = Stacks([OTHER], []).kind
    found = [(one.name, one.why, one.sure) for one in kind.find(lambda _owner: held)]
    why, sure = left or ("", False)
    assert found == ([("shop/prod", f"address, rule; {why}", sure)] if left else [])


class Stacks:
    """Stacks that have two parts beside their fleets."""

    def __init__(self, stacks: Sequence[Scope], fleets: Sequence[Scope]) -> None:
        self.stacks, self.fleets = stacks, fleets
        self.removed: list[str] = []

    def find_parts(self) -> Sequence[Part]:
        """Return the parts, each of which notes its removal."""
        return [
            Part(stack, name, partial(self.removed.append, f"{stack.stack} {name}"))
            for stack in self.stacks
            for name in ("address", "rule")
        ]

    @property
    def kind(self) -> Kind:
        """The kind of these stacks."""
        return make_stack_kind(self.find_parts, lambda: self.fleets, Ownership())


def test_a_stack_with_a_fleet_is_not_left_over() -> None:
    """Its fleets go first: what leads to one that serves stays."""
    kind = Stacks([WEB.of_stack, OTHER], [WEB]).kind
    assert [one.name for one in kind.find(lambda _owner: Holdings())] == ["shop/prod"]


def test_a_stack_goes_in_order_and_alone() -> None:
    """Its parts are removed as they are listed; those of another stack stay."""
    stacks = Stacks([WEB.of_stack, OTHER], [])
    assert stacks.kind.remove("shop/prod", lambda _owner: Holdings())
    assert stacks.removed == ["prod address", "prod rule"]
