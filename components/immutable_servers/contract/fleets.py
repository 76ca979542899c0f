"""The role that knows a service's fleets and how their servers are, and deletes what is to go."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.guard import refuse_if_serving
from immutable_servers.contract.values import Drift, Fleet, Health, Member, Say, Scope, Server
from immutable_servers.system.waiting import wait_until

POLL_SECONDS = 3.0
"""Seconds between two looks at servers that are being launched."""


class Fleets(ABC):
    """The fleets of a target's stacks."""

    def __init__(self, balancer: Balancer) -> None:
        """Take the role that is asked before anything is deleted."""
        self.balancer = balancer

    @abstractmethod
    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Return the fleets of a service by generation id.

        Raises:
            LedgerError: A fleet's record cannot be read.
        """

    @abstractmethod
    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Return the servers of a generation."""

    def find_health(self, scope: Scope) -> Sequence[Health]:
        """Ask every server of a generation now, and the balancer which servers its group holds.

        A server that the group holds and the fleet does not is in the answer too, and so are
        servers that the fleet should have and does not: as failing.
        """
        members = self.balancer.find_members(scope)
        asked = [
            replace(answer, serving=answer.server in members and members[answer.server].up)
            for answer in self._ask_health(scope, members)
        ]
        names = {answer.server for answer in asked}
        strangers = [
            Health(name, ok=False, detail="the balancer's group holds it, the fleet does not")
            for name in sorted(members.keys() - names)
        ]
        return [*asked, *strangers, *self._find_missing(scope, len(asked))]

    def _find_missing(self, scope: Scope, there: int) -> Sequence[Health]:
        """Return a failing answer when a fleet has fewer servers than it should hold."""
        fleet = self.find(scope).get(scope.generation)
        wanted = fleet.servers if fleet else 0
        if there >= wanted:
            return ()
        why = self._explain_missing(scope)
        detail = f"{there} of {wanted} servers exist{f': {why}' if why else ''}"
        return (Health(f"{scope.service}-{scope.generation}", ok=False, detail=detail),)

    @abstractmethod
    def _ask_health(self, scope: Scope, members: Mapping[str, Member]) -> Sequence[Health]:
        """Return an answer for each server of the fleet, asked now.

        Args:
            scope: The generation's.
            members: The balancer's group, for a target whose balancer asks in its place.
        """

    def _explain_missing(self, scope: Scope) -> str:
        """Return why servers of a fleet do not exist, as far as the target says."""
        del scope
        return ""

    def wait_until_launched(self, scope: Scope, seconds: float, say: Say) -> int:
        """Wait until every server of a generation is healthy, or time is over.

        A server that is not healthy is no error here: the verification reports it.

        Returns:
            How many servers are healthy.

        Raises:
            StoppedError: This process was asked to stop.
        """
        asked: Sequence[Health] = ()

        def are_healthy() -> bool:
            nonlocal asked
            asked = self.find_health(scope)
            return bool(asked) and all(answer.ok for answer in asked)

        wait_until(f"waiting for {scope.name}", seconds, are_healthy, every=POLL_SECONDS)
        if not asked:
            say(f"{scope.service}-{scope.generation} does not serve: it has no servers")
        for answer in asked:
            if not answer.ok:
                say(f"{answer.server} does not serve: {answer.detail}")
        healthy = sum(answer.ok for answer in asked)
        say(f"{healthy} servers serve")
        return healthy

    @abstractmethod
    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return what helps to see why a generation is not healthy: the end of its console logs."""

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        """Return console logs by server name: a generation's, or with no generation a service's.

        Not abstract: a target whose own tools show consoles keeps none here.
        """
        del scope
        return {}

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        """Return what was changed by hand of a service's fleets; change nothing.

        Not abstract: a target whose own groups repair their fleets finds nothing.
        """
        del scope
        return ()

    def delete(self, scope: Scope) -> None:
        """Delete a fleet, or what an earlier deletion left of it; a missing one is no error.

        Raises:
            RetirementError: The balancer points to it, or it does not end.
            TrafficError: The balancer cannot be read.
        """
        refuse_if_serving(self.balancer.find_weights(scope), scope)
        self._delete(scope)

    @abstractmethod
    def _delete(self, scope: Scope) -> None:
        """Delete a fleet completely; safe to repeat. A target with a lock asks again under it."""
