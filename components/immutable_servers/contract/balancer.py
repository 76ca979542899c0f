"""The role that points traffic at generations, reads where it goes, and drains what leaves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from immutable_servers.contract.values import ALL, Answers, Member, Route, Say, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.waiting import wait_until


class Balancer(ABC):
    """The load balancer of a target's stacks: what it says is what serves."""

    drain_poll: float = 1.0
    """Seconds between two looks at what is still open in a drain."""
    drain_slack: float = 0.0
    """Seconds that the balancer may need beyond a drain's own time to say that it is over."""

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

    def find_live(self, scope: Scope) -> str:
        """Return the generation with the most traffic, empty when there is none."""
        weights = self.find_weights(scope)
        return max(weights, key=lambda generation: weights[generation], default="")

    def is_pointing(self, scope: Scope) -> bool:
        """Return whether all traffic goes to the scope's generation."""
        return dict(self.find_weights(scope)) == {scope.generation: ALL}

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
        said = dict(self.find_weights(scope))
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
        open_now = 0

        def is_drained() -> bool:
            nonlocal open_now
            open_now = self._count_open(scope)
            return not open_now

        what = f"draining {scope.name}"
        wait_until(what, seconds + self.drain_slack, is_drained, every=self.drain_poll)
        say(f"waited for {seconds:.0f} s, connections left: {open_now}" if open_now else "drained")

    def _start_drain(self, scope: Scope, seconds: float) -> None:
        """Take a generation out of the balancer. Not abstract: some balancers need nothing."""
        del scope, seconds

    @abstractmethod
    def _count_open(self, scope: Scope) -> int:
        """Return how much of a generation is still in use: requests, or servers with some."""
