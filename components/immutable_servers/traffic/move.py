"""Moves a service's traffic to a verified generation whose servers all answer.

A move is over when the service's own address is answered by that generation alone.
"""

import time
from dataclasses import dataclass

from immutable_servers.contract.front import Front
from immutable_servers.contract.values import ALL, Say
from immutable_servers.errors import TrafficError
from immutable_servers.targets.place import Place
from immutable_servers.targets.questions import (
    refuse_launched_again,
    refuse_not_whole,
    wait_until_healthy,
)
from immutable_servers.traffic.back import go_back
from immutable_servers.traffic.canary import Canary, try_canary, watch_all
from immutable_servers.traffic.settling import (
    find_deadline,
    find_question,
    name_generation,
    note_settled,
    wait_until_settled,
)
from immutable_servers.traffic.tally import Tally


@dataclass(frozen=True)
class Verified:
    """A generation that its verification and seal let through.

    Attributes:
        launched_at: When the servers were launched that were verified, in seconds since the epoch;
            0 where a state does not say.
    """

    place: Place
    launched_at: int


def move_traffic(
    wished: Verified, front: Front, trial: Canary | None, before: str, say: Say
) -> str:
    """Point the service to the wished generation, unless it is there already; try it on the way.

    Its servers are asked in the same step, before a canary too. For a generation that has the
    traffic already the data plane is waited for and watched all the same: the run that moved it
    died before it had judged.

    Args:
        wished: The generation.
        front: How the service's own address is asked.
        trial: What it has to reach under traffic; None to move all at once.
        before: The generation that had the traffic when the last run ended, empty for none.
        say: Takes the progress.

    Returns:
        What the trial found wrong, empty when there is nothing. Where traffic is then, the balancer
        says.

    Raises:
        TrafficError: A server does not answer or is missing, or the balancer did not do as asked;
            traffic stays. Or its nodes did not follow; traffic is given back.
        ImmutableError: They are others than those that were verified; traffic stays.
    """
    place = wished.place
    target, wish = place.load(), place.scope.generation
    live = target.balancer.find_live(place.scope)
    had = before if live in ("", wish) else live
    back = "" if had == wish else had
    moves = not target.balancer.is_pointing(place.scope)
    if moves:
        refuse_sick(place)
        refuse_launched_again(place, wished.launched_at)
        refuse_not_whole(place)
        if trial and live not in ("", wish):
            fault = try_canary(place, live, trial, say)
            if fault:
                return fault
    point(place, front, back, say, new=not live, moves=moves)
    if trial and trial.watch_after and had:
        return watch_all(place, back, trial, say)
    return ""


def point(place: Place, front: Front, back: str, say: Say, *, new: bool, moves: bool) -> None:
    """Give a generation all traffic, and wait until the balancer's nodes have followed.

    Args:
        place: The generation's.
        front: How its service's address is asked.
        back: Who gets the traffic back when they do not follow; empty for nobody.
        say: Takes the progress.
        new: Nobody had traffic before.
        moves: The balancer does not point to it yet.

    Raises:
        TrafficError: The balancer did not do as asked, or its nodes did not follow in time.
        StoppedError: This process was asked to stop. Traffic stays where it is then; nothing is
            drained before a run has seen the nodes follow.
    """
    balancer, scope = place.load().balancer, place.scope
    # Before the move: an address that answers now, and does not later, has failed.
    ask = balancer.prepare_question(front, scope) if new else find_question(place, front, say)
    began = time.monotonic()
    if moves:
        balancer.set_traffic(scope, {scope.generation: ALL})
    moved = time.monotonic()
    tally = Tally(name_generation(scope), began, moved)
    if wait_until_settled(place, front, ask, tally, say, new=new):
        note_settled(scope)
        late = f"last old answer {tally.since - began:.1f} s"
        say(f"API {moved - began:.1f} s, {late if tally.since > moved else 'no old answer'}")
        return
    kept = go_back(place, back)
    raise TrafficError(
        f"The address of {scope.service} is not answered by generation {scope.generation} alone",
        facts=[
            f"within {find_deadline(place, front):.0f} s {tally.describe()}",
            kept or f"all traffic was given back to generation {back}",
        ],
        todo="Run `./immutable up` again. If this stays: see who else changes the balancer, or"
        " answers at its address.",
    )


def refuse_sick(place: Place) -> None:
    """Wait until every server answers.

    Raises:
        TrafficError: One does not.
    """
    sick = wait_until_healthy(place, place.load().answers_within)
    if sick:
        service, generation = place.scope.service, place.scope.generation
        logs = f"./immutable logs {service} --generation {generation} --stack {place.scope.stack}"
        raise TrafficError(
            f"Traffic of {service} stays: generation {generation} is not healthy",
            facts=[f"{health.server}: {health.detail}" for health in sick],
            todo=f"What its servers printed: `{place.load().consoles_command or logs}`. Then run"
            " `./immutable up` again.",
        )
