"""Moves a service's traffic to a verified generation whose servers all answer."""

from immutable_servers.context import Place
from immutable_servers.errors import TrafficError
from immutable_servers.health import wait_until_healthy
from immutable_servers.targets.contract import Launch, Say, Target
from immutable_servers.traffic.canary import ALL, Canary, try_canary, watch_all


def move_traffic(place: Place, launch: Launch, trial: Canary | None, before: str, say: Say) -> str:
    """Point the service to the place's generation, unless it is there already; try it on the way.

    Health of every server is asked in the same step, before a canary too. A generation that has
    the traffic already is watched all the same: the run that moved it died before it had judged.

    Args:
        place: The generation's.
        launch: Its launch spec, for the health check.
        trial: What it has to reach under traffic; None to move all at once.
        before: The generation that had the traffic when the last run ended, empty for none.
        say: Takes the progress.

    Returns:
        What the trial found wrong, empty when there is nothing. Where traffic is then, the balancer
        says.

    Raises:
        TrafficError: A server does not answer, or the balancer did not do as asked; traffic stays.
    """
    target, wish = place.load(), place.scope.generation
    live = find_live(target, place)
    if not is_pointing(target, place):
        refuse_sick(place, launch)
        if trial and live not in ("", wish):
            fault = try_canary(place, live, trial, say)
            if fault:
                return fault
        target.set_traffic(place.scope, {wish: ALL})
    back = before if live in ("", wish) else live
    if trial and trial.watch_after and back:
        return watch_all(place, "" if back == wish else back, trial, say)
    return ""


def refuse_sick(place: Place, launch: Launch) -> None:
    """Wait until every server answers.

    Raises:
        TrafficError: One does not.
    """
    sick = wait_until_healthy(place, launch, place.load().answers_within)
    if sick:
        raise TrafficError(
            f"Traffic of {place.scope.service} stays: generation {place.scope.generation} is not"
            " healthy",
            facts=[f"{health.server}: {health.detail}" for health in sick],
            todo="Look at the server's console log, then run `./immutable up` again.",
        )


def find_live(target: Target, place: Place) -> str:
    """Return the generation with the most traffic, empty when there is none."""
    weights = target.find_traffic(place.scope)
    return max(weights, key=lambda generation: weights[generation], default="")


def is_pointing(target: Target, place: Place) -> bool:
    """Tell whether the balancer sends all traffic to the place's generation."""
    return dict(target.find_traffic(place.scope)) == {place.scope.generation: ALL}
