"""Moves traffic between servers of a pool, for balancers that know no weights.

A balancer with one pool sends nothing to a server that fails its checks, checks none outside of its
pool, and follows late. So new servers join the old ones, and those leave once a new one answered.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from immutable_servers.contract.front import Ask, Reply
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system import stopping
from immutable_servers.system.waiting import wait_until


@dataclass(frozen=True)
class Pace:
    """How long a move may take, and how often it looks; times are in seconds.

    Attributes:
        follows_within: How long a pool may not be yet as it was asked to be.
        follow_poll: Between two looks at a pool.
        sure: Times that a balancer may need to check a server, before it counts as checked.
        ask_poll: Between two questions to the address.
        answers_within: How long after that a new server may take to be among those that answer.
    """

    follows_within: float = 300.0
    follow_poll: float = 3.0
    sure: float = 2.0
    ask_poll: float = 0.5
    answers_within: float = 60.0


class Pool(Protocol):
    """What a service's balancer sends requests to: servers by number.

    Attributes:
        pointed: What puts a server in the pool, such as `live tag`.
        check_seconds: How long it may take to check a server once.
    """

    pointed: str
    check_seconds: float

    def ask(self) -> Sequence[Reply]:
        """Ask the service's address once."""

    def join(self, servers: Sequence[int]) -> None:
        """Ask that servers be in the pool."""

    def leave(self, servers: Sequence[int]) -> None:
        """Ask that servers be out of it."""

    def find_held(self) -> set[int]:
        """Return who is in it now.

        Raises:
            TrafficError: There is no pool.
        """


@dataclass
class PoolMove:
    """One move of a service's traffic. Nobody waits for a server that does not run.

    Attributes:
        scope: The generation that is to have all traffic, or none.
        live: The servers that were to be in the pool before, and `alive` those of them that run.
        new: The generation's servers, and `ready` those of them that run.
        named: Their answers name the generation.
        ask: What asks the address; None where its answers prove nothing.
        has_left: Those that leave may have left.
        stoppable: A stop ends it; not one that a process begins which stops, to give traffic back.
    """

    pool: Pool
    pace: Pace
    scope: Scope
    live: Collection[int]
    alive: Collection[int]
    new: Collection[int]
    ready: Collection[int]
    named: bool
    ask: Ask | None = None
    has_left: bool = False
    stoppable: bool = field(default_factory=lambda: not stopping.STOP.is_set())

    def __post_init__(self) -> None:
        """Say who joins, and who leaves."""
        self.name = f"{self.scope.service}-{self.scope.generation}"
        self.joining = sorted({*self.ready} - {*self.live})
        self.leaving = sorted({*self.live} - {*self.new})

    def make(self) -> None:
        """Have the new servers join, and the old ones leave; give traffic back if that fails.

        Raises:
            TrafficError: The pool did not follow, or the address was answered badly. The servers
                that were in the pool before are to be in it again.
            StoppedError: This process was asked to stop. Whoever is in the pool then, serves.
        """
        moves = bool(self.leaving and self.ready)
        # What is answered badly before says nothing against the new servers.
        asks = moves and self.stoppable and not find_failure(self.pool.ask())
        self.ask = self.pool.ask if asks else None
        try:
            self._join()
            if moves:
                self._refuse_bad_answers("with old and new servers", proves=self.named)
            self._leave()
            if moves:
                self._refuse_bad_answers("with new servers alone", proves=False)
        except TrafficError:
            self._give_back()
            raise

    def _join(self) -> None:
        if self.joining:
            self.pool.join(self.joining)
        wanted = {*self.ready}
        if wanted:
            what = f"does not hold {_write(wanted)}"
            self._wait(lambda held: wanted <= held, what, stoppable=self.stoppable)

    def _leave(self) -> None:
        left = {*self.leaving}
        if left:
            self.has_left = True
            self.pool.leave(self.leaving)
            what = f"still holds {_write(left)}"
            self._wait(lambda held: not left & held, what, stoppable=self.stoppable)

    def _give_back(self) -> None:
        """Have those be in the pool that were, and the others not.

        Raises:
            TrafficError: The pool does not follow that either; then all are to be in it.
        """
        before = {*self.alive}
        if self.has_left:
            self.pool.join(self.leaving)
            what = f"does not hold {_write(before)} again"
            self._wait(lambda held: before <= held, what, stoppable=False)
        if self.joining:
            self.pool.leave(self.joining)

    def _refuse_bad_answers(self, when: str, *, proves: bool) -> None:
        """Wait as long as checks may take, and ask the address meanwhile.

        A failure of a server that names an old generation says nothing against the new one.

        Args:
            when: Who is in the pool.
            proves: The new generation has to have answered in the end.

        Raises:
            TrafficError: An answer was bad, or the new generation gave none.
        """
        seen = not (proves and self.ask)

        def look() -> str:
            nonlocal seen
            replies = self.ask() if self.ask else ()
            seen = seen or any(self.name in one.names and not one.failure for one in replies)
            return find_failure(replies, self.name)

        def look_until(seconds: float, done: Callable[[str], object]) -> str:
            what, every = f"asking for {self.scope.service}", self.pace.ask_poll
            return wait_until(what, seconds, look, done=done, every=every, stoppable=self.stoppable)

        seconds, late = self.pace.sure * self.pool.check_seconds, self.pace.answers_within
        failure = look_until(seconds, bool)
        if not (failure or seen):
            failure = look_until(late, lambda failed: failed or seen)
            failure = failure or (
                "" if seen else f"{self.name} gave no answer in {seconds + late:.0f} s"
            )
        if failure:
            raise TrafficError(
                f"Traffic of {self.scope.service} was given back: its address answered badly {when}"
                " in the pool",
                facts=[failure],
                todo="See what the application has logged, then run ./immutable up again.",
            )

    def _wait(self, done: Callable[[set[int]], bool], fault: str, *, stoppable: bool) -> None:
        """Wait until the pool is as it should be.

        Raises:
            TrafficError: It is not in time.
        """
        what, every = f"waiting for the pool of {self.scope.service}", self.pace.follow_poll
        seconds, look = self.pace.follows_within, self.pool.find_held
        held = wait_until(what, seconds, look, done=done, every=every, stoppable=stoppable)
        if not done(held):
            raise TrafficError(
                f"The load balancer of {self.scope.service} does not follow in time",
                facts=[
                    f"after {seconds:.0f} s its pool {fault}; it has {_write(held)}",
                    f"who is in it goes by its {self.pool.pointed}",
                ],
                todo="See that it is as the program declares it, then run ./immutable up again.",
            )


def find_failure(replies: Sequence[Reply], name: str = "") -> str:
    """Return what a user would have had in place of an answer; empty when all is well.

    With a name, what others than that generation have answered is left out.
    """
    failed = (one for one in replies if one.failure)
    return next(
        (one.failure for one in failed if not (name and one.names) or name in one.names), ""
    )


def _write(servers: Collection[int]) -> str:
    return f"servers {', '.join(map(str, sorted(servers)))}" if servers else "no server"
