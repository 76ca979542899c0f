"""The role that points traffic at generations, reads where it goes, and drains what leaves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from immutable_servers.contract.front import Ask, Front
from immutable_servers.contract.values import ALL, Answers, Member, Route, Say, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.waiting import wait_until

SHOWS_POLL = 0.5
"""Seconds between two looks at what the API says after a move."""


class Balancer(ABC):
    """The load balancer of a target's stacks: what it says is what serves."""

    drain_poll: float = 1.0
    """Seconds between two looks at what is still open in a drain."""
    drain_slack: float = 0.0
    """Seconds that the balancer may need beyond a drain's own time to say that it is over."""
    settle: float = 10.0
    """Seconds for which a service's own address must have been answered by the new generation
    alone before a move is over, where the settings do not say."""
    settle_poll: float = 0.5
    """Seconds between two questions to a service's address."""
    settle_within: float = 300.0
    """Seconds after which a move that is not over has failed. Nodes follow within a minute."""
    shows_within: float = 0.0
    """Seconds for which its API may still say what was before a move."""
    counts_within: float = 0.0
    """Seconds after which all that it has counted is known: the answers of `find_answers`."""

    @abstractmethod
    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        """Return generation id to weight in percent; empty when the service points nowhere.

        Raises:
            TrafficError: The balancer exists and cannot be read.
        """

    @abstractmethod
    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Return the servers that the balancer's group for a generation holds, by server name."""

    @abstractmethod
    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Return what a generation answered, by each process of the balancer that counts.

        Empty where nothing counts it now, which is not the same as no answer.

        Raises:
            TrafficError: The balancer cannot be asked.
        """

    @abstractmethod
    def find_address(self, route: Route, scope: Scope) -> str:
        """Return the URL where a service answers, such as `http://127.0.0.1:8080`."""

    def find_front(self, route: Route, scope: Scope) -> str:
        """Return the URL that leads to the balancer itself from this machine.

        Not abstract: where an address names the balancer they are the same. A host name of the
        user's may lead elsewhere, or nowhere yet.
        """
        return self.find_address(route, scope)

    def prepare_question(
        self, front: Front, scope: Scope, headers: Mapping[str, str] | None = None
    ) -> Ask:
        """Return what asks a service's own address once: each node, over a fresh connection."""
        # What most processes never do needs modules that take their time to be imported.
        from immutable_servers.contract.asking import ask_every_node  # noqa: PLC0415

        address = self.find_front(front.route, scope)
        host = front.route.host or urlsplit(address).netloc
        return partial(ask_every_node, address, host, front.health, headers)

    def refuse_routes(self, scope: Scope, routes: Sequence[Route]) -> None:
        """Refuse routes that the stack's balancer cannot have, so that the preview fails.

        Not abstract: where each stack has an address of its own nobody can have taken them.

        Raises:
            SettingsError: Another stack has one, or it needs a privilege.
            TrafficError: A stranger has one.
        """
        del scope, routes

    def find_live(self, scope: Scope) -> str:
        """Return the generation with the most traffic, empty when there is none."""
        weights = self.find_weights(scope)
        return max(weights, key=lambda generation: weights[generation], default="")

    def is_pointing(self, scope: Scope) -> bool:
        """Return whether all traffic goes to the scope's generation."""
        return dict(self.find_weights(scope)) == {scope.generation: ALL}

    def is_released(self, scope: Scope) -> bool:
        """Return whether `release` has nothing left to do."""
        del scope
        return True

    def release(self, scope: Scope) -> None:  # noqa: B027 - elsewhere a fleet keeps its number
        """Let the fleets of a service do what a move of its traffic kept them from.

        The move is over by now: whoever has all traffic has had it for as long as that takes.
        """

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Point a service at generations by weight (100 in all), or at none, and read it back.

        Raises:
            TrafficError: The weights are not 100 in all, a generation that gets traffic anew has
                no server that the balancer would send requests, or the balancer says something
                else afterwards.
        """
        wanted = {generation: weight for generation, weight in weights.items() if weight}
        if wanted and sum(wanted.values()) != ALL:
            raise TrafficError(
                f"Traffic of {scope.service} cannot be set to {wanted}",
                facts=[f"weights in all: {sum(wanted.values())}, wanted {ALL}"],
                todo="Run ./immutable up again.",
            )
        before = self.find_weights(scope)
        for generation in sorted(wanted.keys() - before.keys()):
            self._refuse_without_server(replace(scope, generation=generation))
        if not (wanted or before):
            return
        self._point(scope, wanted)
        said = wait_until(
            f"waiting for the balancer of {scope.service}",
            self.shows_within,
            lambda: dict(self.find_weights(scope)),
            done=lambda found: found == wanted,
            every=SHOWS_POLL,
            stoppable=False,  # a stop gives traffic back by this
        )
        if said != wanted:
            raise TrafficError(
                f"The balancer did not do as it was asked for {scope.service}",
                facts=[f"asked for {wanted or 'nobody'}, it says {said or 'nobody'}"],
                todo="See who else changes the balancer, then run ./immutable up again.",
            )

    def _refuse_without_server(self, scope: Scope) -> None:
        members = self.find_members(scope)
        if not any(member.up for member in members.values()):
            raise TrafficError(
                f"Traffic of {scope.service} stays: generation {scope.generation} has no healthy"
                " server at the load balancer",
                facts=[f"{name}: {member.detail}".strip() for name, member in members.items()]
                or ["its group is missing or empty"],
                todo="Run ./immutable up again; `./immutable status` shows what exists.",
            )

    @abstractmethod
    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Change the service's pointer to these weights, 100 in all, or to nobody when empty.

        Raises:
            TrafficError: The balancer is missing, or refuses.
        """

    def drain(self, scope: Scope, seconds: float, say: Say) -> None:
        """Wait until a generation without traffic holds no request, or the time is over.

        Raises:
            StoppedError: This process was asked to stop.
        """
        self._start_drain(scope, seconds)
        open_now: int | None = None

        def is_drained() -> bool:
            nonlocal open_now
            open_now = self._count_open(scope)
            return open_now == 0

        what = f"draining {scope.name}"
        wait_until(what, seconds + self.drain_slack, is_drained, every=self.drain_poll)
        left = "" if open_now is None else f", connections left: {open_now}"
        say("drained" if open_now == 0 else f"waited for {seconds:.0f} s{left}")

    def _start_drain(self, scope: Scope, seconds: float) -> None:
        """Take a generation out of the balancer. Not abstract: some balancers need nothing."""
        del scope, seconds

    @abstractmethod
    def _count_open(self, scope: Scope) -> int | None:
        """Return how much of a generation is still in use: requests, or servers with some.

        None where the balancer does not say: then the time of a drain is waited out.
        """
