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

        A server that the balancer has for sick is sick, whatever it answers to us. One that the
        group holds and the fleet does not is in the answer too, and so are servers that the fleet
        should have and does not: as failing.
        """
        members, fleet = self._look(scope)
        asked = [
            _believe(answer, members.get(answer.server))
            for answer in self._ask_health(scope, fleet, members)
        ]
        names = {answer.server for answer in asked}
        strangers = [
            Health(name, ok=False, detail="the balancer's group holds it, the fleet does not")
            for name in sorted(members.keys() - names)
        ]
        return [*asked, *strangers, *self._find_missing(scope, fleet, len(asked))]

    def _look(self, scope: Scope) -> tuple[Mapping[str, Member], Fleet | None]:
        """Return a generation's members and fleet, for its health.

        Not abstract: a target whose calls are counted may have known them for some seconds.
        """
        return self.balancer.find_members(scope), self.find(scope).get(scope.generation)

    def _find_missing(self, scope: Scope, fleet: Fleet | None, there: int) -> Sequence[Health]:
        """Return a failing answer when a fleet has fewer servers than it should hold."""
        wanted = fleet.servers if fleet else 0
        if there >= wanted:
            return ()
        why = self._explain_missing(scope)
        detail = f"{there} of {wanted} servers exist{f': {why}' if why else ''}"
        return (Health(f"{scope.service}-{scope.generation}", ok=False, detail=detail),)

    @abstractmethod
    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Return an answer for each server of the fleet, asked now.

        Args:
            scope: The generation's.
            fleet: The fleet, found just now; None without one.
            members: The balancer's group, for a target whose balancer asks in its place.
        """

    def _explain_missing(self, scope: Scope) -> str:
        """Return why servers of a fleet do not exist, as far as the target says."""
        del scope
        return ""

    def wait_until_launched(self, scope: Scope, seconds: float, say: Say) -> int:
        """Wait until every server of a generation is healthy, or one never will be.

        A server that is not healthy when this or the time is over is no error here: the
        verification reports it.

        Returns:
            How many servers are healthy.

        Raises:
            StoppedError: This process was asked to stop.
        """
        asked: Sequence[Health] = ()
        given_up: Mapping[str, str] = {}

        def is_over() -> bool:
            nonlocal asked, given_up
            asked = self.find_health(scope)
            sick = [answer.server for answer in asked if not answer.ok]
            given_up = self.find_given_up(scope) if sick else {}
            return bool(asked) and (not sick or not given_up.keys().isdisjoint(sick))

        wait_until(f"waiting for {scope.name}", seconds, is_over, every=POLL_SECONDS)
        if not asked:
            say(f"{scope.service}-{scope.generation} does not serve: it has no servers")
        for answer in asked:
            if not answer.ok:
                why = given_up.get(answer.server) or answer.detail
                say(f"{answer.server} does not serve: {why}")
        healthy = sum(answer.ok for answer in asked)
        say(f"{healthy} servers serve")
        return healthy

    @abstractmethod
    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return what helps to see why a generation is not healthy: the end of its console logs."""

    def find_given_up(self, scope: Scope) -> Mapping[str, str]:
        """Return why servers of a generation will never serve, as far as it is known, by name.

        Not abstract: a target that cannot tell waits for its deadline.
        """
        del scope
        return {}

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


def _believe(answer: Health, member: Member | None) -> Health:
    """Return a server's answer, with what the balancer says of it where that is worse."""
    if answer.ok and member and not member.up:
        answer = replace(answer, ok=False, detail=f"the balancer says {member.detail}")
    return replace(answer, serving=bool(member and member.up))
