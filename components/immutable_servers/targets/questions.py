"""Asks a target about one generation: is it healthy, whole, and launched only once?"""

from collections.abc import Sequence
from typing import Any

from immutable_servers.contract.values import Health, Say
from immutable_servers.errors import LEAVE_NOTHING_OUT, TrafficError, make_left_out
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.place import Place

INTERVAL = 0.5
"""Seconds between two rounds of questions."""


def wait_until_healthy(
    place: Place, deadline: float, say: Say = lambda _line: None
) -> Sequence[Health]:
    """Return the servers that still do not answer, or do not belong, after `deadline` seconds.

    Servers that will never serve are not waited for. Empty means that every server of the
    generation answered, and that the balancer's group for it holds these servers and no other. The
    first that does not answer is said.

    Raises:
        StoppedError: This process was asked to stop.
    """
    target = place.load()
    given_up = target.fleets.find_given_up(place.scope)

    def ask() -> list[Health]:
        answers = target.fleets.find_health(place.scope)
        if not answers:
            return [Health(place.scope.name, ok=False, detail="it has no servers")]
        return [answer for answer in answers if not (answer.ok and answer.serving)]

    told = False

    def is_over(sick: Sequence[Health]) -> bool:
        nonlocal told
        if sick and not told:
            told = True
            say(f"waits {deadline:.0f} s at most for {sick[0].server}: {sick[0].detail}")
        return not sick or any(not one.ok and one.server in given_up for one in sick)

    what = f"waiting for {place.scope.name}"
    return wait_until(what, deadline, ask, done=is_over, every=INTERVAL)


def find_launch(place: Place) -> int:
    """Return when the servers of a generation were launched, in seconds since the epoch.

    As the target has it; 0 for no fleet, and where nobody knows.
    """
    fleet = place.load().fleets.find(place.scope).get(place.scope.generation)
    return int(fleet.record.get("launched_at") or 0) if fleet else 0


def refuse_launched_again(place: Place, verified_launch: int | None) -> None:
    """Refuse to act on a verdict of other servers than those that there are.

    Args:
        place: The generation's.
        verified_launch: What `find_launch` returned when they were verified; None or 0 in a state
            that does not say.

    Raises:
        ImmutableError: They were launched again since.
    """
    if was_launched_again(verified_launch, find_launch(place)):
        raise make_left_out(
            f"The servers of {place.scope.name} were launched again since they passed."
        )


def was_launched_again(before: Any, now: Any) -> bool:  # noqa: ANN401 - of a state or a record
    """Return whether the servers of a generation differ from those that a state describes.

    Both are in seconds since the epoch, and 0 or missing where nobody knows.
    """
    return bool(before and now and before != now)


def refuse_not_whole(place: Place) -> None:
    """Ask the target whether all servers are there: those that are may well answer.

    Raises:
        TrafficError: One is missing, or the fleet is being deleted.
    """
    fleet = place.load().fleets.find(place.scope).get(place.scope.generation)
    if fleet is None or fleet.leaving or not fleet.whole:
        raise TrafficError(
            f"Traffic of {place.scope.service} stays: generation {place.scope.generation} is not"
            " whole",
            todo=LEAVE_NOTHING_OUT,
        )
