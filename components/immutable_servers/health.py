"""Asks the servers of a generation for their health until all answer, or time is over."""

from collections.abc import Sequence

from tenacity import Retrying, retry_if_result, wait_fixed

from immutable_servers import stopping
from immutable_servers.context import Place
from immutable_servers.targets.values import Health, Launch

INTERVAL = 0.5
"""Seconds between two rounds of questions."""


def wait_until_healthy(place: Place, launch: Launch, deadline: float) -> Sequence[Health]:
    """Return the servers that still do not answer, or do not belong, after `deadline` seconds.

    Empty means that every server of the generation answered, and that the balancer's group for it
    holds these servers and no other.

    Raises:
        StoppedError: This process was told to stop.
    """
    target = place.load()

    def ask() -> list[Health]:
        answers = target.find_health(place.scope, launch)
        if not answers:
            return [Health(place.scope.name, ok=False, detail="it has no servers")]
        return [answer for answer in answers if not (answer.ok and answer.serving)]

    retrying = Retrying(
        retry=retry_if_result(bool),
        stop=stopping.stop_after(deadline, f"waiting for {place.scope.name}"),
        sleep=stopping.sleep,
        wait=wait_fixed(INTERVAL),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
    )
    return retrying(ask)
