"""Moves a service's traffic to a verified generation whose servers all answer."""

from dataclasses import dataclass

from immutable_servers.contract.values import ALL, Say
from immutable_servers.errors import TrafficError
from immutable_servers.targets.place import Place
from immutable_servers.targets.questions import (
    refuse_launched_again,
    refuse_not_whole,
    wait_until_healthy,
)
from immutable_servers.traffic.canary import Canary, try_canary, watch_all


@dataclass(frozen=True)
class Verified:
    """A generation that its verification and seal let through.

    Attributes:
        launched_at: When the servers were launched that were verified, in seconds since the epoch;
            0 where a state does not say.
    """

    place: Place
    launched_at: int


def move_traffic(wished: Verified, trial: Canary | None, before: str, say: Say) -> str:
    """Point the service to the wished generation, unless it is there already; try it on the way.

    Its servers are asked in the same step, before a canary too. A generation that has the traffic
    already is watched all the same: the run that moved it died before it had judged.

    Args:
        wished: The generation.
        trial: What it has to reach under traffic; None to move all at once.
        before: The generation that had the traffic when the last run ended, empty for none.
        say: Takes the progress.

    Returns:
        What the trial found wrong, empty when there is nothing. Where traffic is then, the balancer
        says.

    Raises:
        TrafficError: A server does not answer or is missing, or the balancer did not do as asked;
            traffic stays.
        ImmutableError: They are others than those that were verified; traffic stays.
    """
    place = wished.place
    target, wish = place.load(), place.scope.generation
    live = target.balancer.find_live(place.scope)
    if not target.balancer.is_pointing(place.scope):
        refuse_sick(place)
        refuse_launched_again(place, wished.launched_at)
        refuse_not_whole(place)
        if trial and live not in ("", wish):
            fault = try_canary(place, live, trial, say)
            if fault:
                return fault
        target.balancer.set_traffic(place.scope, {wish: ALL})
    back = before if live in ("", wish) else live
    if trial and trial.watch_after and back:
        return watch_all(place, "" if back == wish else back, trial, say)
    return ""


def refuse_sick(place: Place) -> None:
    """Wait until every server answers.

    Raises:
        TrafficError: One does not.
    """
    sick = wait_until_healthy(place, place.load().answers_within)
    if sick:
        raise TrafficError(
            f"Traffic of {place.scope.service} stays: generation {place.scope.generation} is not"
            " healthy",
            facts=[f"{health.server}: {health.detail}" for health in sick],
            todo="Look at the server's console log, then run `./immutable up` again.",
        )
