"""What no stack owns on an emulated cloud: found, removed alone, and everything else stays."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic

import pytest

from harness.cloud_world import STACK, WEB, CloudWorld, WorldT
from immutable_servers.contract.ownership import Ask, Holdings, Leftover, Owner
from immutable_servers.contract.values import ALL, Scope
from immutable_servers.errors import RetirementError

OWNER = Owner("file:///state", "0a1b", "organization", STACK.project, STACK.stack, "/checkout")


class Sweep(Generic[WorldT]):
    """Fleets that nobody knows, and whose a stack is.

    Attributes:
        longest: Letters of a checkout's path that fit.
        first_word: The key of the first word of an owner, where the cloud keeps it.
    """

    longest: ClassVar[int]
    first_word: ClassVar[str]

    def put_word(self, world: WorldT, key: str, value: str) -> None:
        """Write a tag or a label where the owner is kept, as somebody else."""
        raise NotImplementedError

    def find_words(self, world: WorldT) -> Mapping[str, str]:
        """Return the tags or labels there."""
        raise NotImplementedError

    def test_a_fleet_that_its_state_does_not_know_goes(self, world: WorldT) -> None:
        """It goes with all that it consists of; one that is known, or serves, stays.

        So does one that cannot be asked about. The state that is asked is the one that the stack's
        load balancer names.
        """
        known, lost, live = (replace(WEB, generation=one * 8) for one in "abc")
        for scope in (known, lost, live):
            world.make_fleet(scope, 1)
        target, asked = world.make_target(), []
        world.wait_until_healthy(live)
        target.balancer.set_traffic(live, {live.generation: ALL})
        target.ownership.begin_update(OWNER, [])

        def ask(owner: Owner | None) -> Holdings:
            asked.append(owner)
            return Holdings(exists=True, names=frozenset(("web-aaaaaaaa",)))

        found = {"project/dev/web-bbbbbbbb": True, "project/dev/web-cccccccc": False}
        assert find(world, ask) == found
        assert asked == [OWNER]
        assert find(world, know("web-aaaaaaaa", run="under way")) == {}
        unsure = find(world, lambda _owner: Holdings(unasked="its state is elsewhere"))
        assert [*unsure.values()] == [False, False, False]
        with pytest.raises(RetirementError, match="still serves"):
            target.ownership.remove_leftover(Leftover("fleet", "project/dev/web-cccccccc", ""), ask)
        assert sweep(world, ask) == {"fleet project/dev/web-bbbbbbbb"}
        assert target.fleets.find(WEB).keys() == {"aaaaaaaa", "cccccccc"}
        assert world.find_left(lost) == []

    def test_the_owner_is_kept_with_the_balancer(self, world: WorldT) -> None:
        """It is what the last update wrote; none from damaged words, and others stay."""
        world.make_fleet(replace(WEB, generation="aaaaaaaa"), 1)  # without one it has no owner
        ownership = world.make_target().ownership
        assert ownership.find_owner(STACK) is None
        self.put_word(world, "team", "shop")
        path = "/é (new)/" + "x" * self.longest
        moved = replace(OWNER, backend="s3://state", digest="ffff", checkout=path)
        for owner in (OWNER, moved, OWNER):
            ownership.begin_update(owner, [])
            assert ownership.find_owner(STACK) == owner
            assert ownership.list_owners() == [owner]
        assert ownership.find_owner(Scope("other", "dev")) is None
        ownership.begin_update(replace(OWNER, stack="none"), [])  # it has no balancer yet
        self.put_word(world, self.first_word, "damaged")
        assert ownership.find_owner(STACK) is None
        assert ownership.list_owners() == []
        assert self.find_words(world)["team"] == "shop"


def know(*names: str, run: Any = "none") -> Ask:  # noqa: ANN401 - a literal of Holdings
    """Return what asks a state that holds these names, and a load balancer."""
    return lambda _owner: Holdings(exists=True, names=frozenset(("balancer", *names)), run=run)


def find(world: CloudWorld, ask: Ask) -> dict[str, bool]:
    """Return what is left over by its name, and whether that is sure."""
    found = world.make_target().ownership.find_leftovers(ask)
    return {one.name: one.sure for one in found}


def sweep(world: CloudWorld, ask: Ask) -> set[str]:
    """Remove all that is surely left over; return kinds and names."""
    ownership = world.make_target().ownership
    sure = [one for one in ownership.find_leftovers(ask) if one.sure]
    assert all(ownership.remove_leftover(one, ask) for one in sure)
    assert not any(ownership.remove_leftover(one, ask) for one in sure)
    return {f"{one.kind} {one.name}" for one in sure}
