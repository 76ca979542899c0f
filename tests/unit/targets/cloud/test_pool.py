"""Moves between members of one pool, on a pool in memory: who joins, who leaves, who comes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from immutable_servers.contract.front import Reply
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.cloud.pool import Pace, PoolMove, find_failure

NEW = Scope("shop", "dev", "web", "22222222")
NAMES = {1: "web-11111111", 2: "web-11111111", 3: "web-22222222", 4: "web-22222222"}
PACE = Pace(follows_within=0.1, follow_poll=0.005, ask_poll=0.005, answers_within=0.05)


@dataclass
class Pool:
    """A pool that follows at once, and a balancer that sends nothing to who is sick.

    Attributes:
        failing: Servers that pass checks and answer 500.
        deaf: Servers that it takes in no more.
    """

    held: set[int]
    sick: set[int] = field(default_factory=set)
    failing: set[int] = field(default_factory=set)
    deaf: set[int] = field(default_factory=set)
    changes: list[str] = field(default_factory=list)
    asked: int = 0
    pointed: str = "label"
    check_seconds: float = 0.05

    def join(self, servers: Sequence[int]) -> None:
        """Take servers in."""
        self.changes.append(f"in {servers}")
        self.held |= {*servers} - self.deaf

    def leave(self, servers: Sequence[int]) -> None:
        """Let servers go."""
        self.changes.append(f"out {servers}")
        self.held -= {*servers}

    def find_held(self) -> set[int]:
        """Return who is in it."""
        return {*self.held}

    def ask(self) -> Sequence[Reply]:
        """Answer as the next healthy one."""
        healthy = sorted(self.held - self.sick)
        if not healthy:
            return [Reply("node", 503)]
        self.asked += 1
        one = healthy[self.asked % len(healthy)]
        return [Reply("node", 500 if one in self.failing else 200, (NAMES[one],))]


def move(pool: Pool, *, named: bool = True, off: Sequence[int] = ()) -> None:
    """Move from servers 1 and 2 to 3 and 4; some of these may be off."""
    ready = [one for one in (3, 4) if one not in off]
    PoolMove(
        pool, PACE, NEW, live=[1, 2], alive=[1, 2], new=[3, 4], ready=ready, named=named
    ).make()


def test_new_ones_join_before_old_ones_leave() -> None:
    """One that is off is neither asked to join nor waited for."""
    pool = Pool({1, 2})
    move(pool)
    assert pool.changes == ["in [3, 4]", "out [1, 2]"]
    pool = Pool({1, 2})
    move(pool, off=[3])
    assert pool.changes == ["in [4]", "out [1, 2]"]


def test_who_fails_the_checks_takes_nobody_s_place() -> None:
    """The old ones answer well meanwhile, and go on: no answer named the new generation."""
    pool = Pool({1, 2}, sick={3, 4})
    with pytest.raises(TrafficError, match="given back") as caught:
        move(pool)
    assert "web-22222222 gave no answer" in caught.value.facts[0]
    assert (pool.held, pool.changes) == ({1, 2}, ["in [3, 4]", "out [3, 4]"])


def test_answers_without_names_prove_nothing() -> None:
    """Then the old ones leave after the time alone; a bad answer brings them back."""
    pool = Pool({1, 2}, sick={3, 4})
    with pytest.raises(TrafficError, match="with new servers alone"):
        move(pool, named=False)
    assert pool.held == {1, 2}
    assert pool.changes == ["in [3, 4]", "out [1, 2]", "in [1, 2]", "out [3, 4]"]


def test_bad_answers_of_the_new_ones_give_traffic_back() -> None:
    """They pass the checks and fail their users."""
    pool = Pool({1, 2}, failing={3})
    with pytest.raises(TrafficError, match="with old and new servers") as caught:
        move(pool)
    assert caught.value.facts == ("500",)
    assert pool.held == {1, 2}


def test_a_pool_that_takes_nobody_in_is_said() -> None:
    """Those that served go on."""
    pool = Pool({1, 2}, deaf={4})
    with pytest.raises(TrafficError, match="does not follow in time") as caught:
        move(pool)
    assert "does not hold servers 3, 4; it has servers 1, 2, 3" in caught.value.facts[0]
    assert "label" in caught.value.facts[1]
    assert pool.held == {1, 2}


def test_a_failure_is_of_whom_it_names() -> None:
    """A nameless one is anybody's."""
    old, nobody = Reply("node", 500, ("web-11111111",)), Reply("node", 503)
    assert find_failure([old]) == "500"
    assert find_failure([old], "web-22222222") == ""
    assert find_failure([old, nobody], "web-22222222") == "503"
