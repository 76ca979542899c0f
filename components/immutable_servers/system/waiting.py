"""Waits with a deadline for what only a look can tell; a stop of the run ends the wait."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tenacity import Retrying, nap, retry_if_result, stop_after_delay, wait_fixed

from immutable_servers.system import stopping

T = TypeVar("T")


def wait_until(
    what: str,
    seconds: float,
    look: Callable[[], T],
    *,
    done: Callable[[T], object] = bool,
    every: float,
    stoppable: bool = True,
) -> T:
    """Call `look` until `done` accepts what it returns, or time is over; return what came last.

    There is at least one look. An error that `look` raises ends the wait.

    Args:
        what: What a stopped wait says was ended, such as `waiting for web-0`.
        seconds: The deadline, by the monotonic clock; `math.inf` is none.
        look: Asks once.
        done: Says whether the wait is over; the deadline is over when it rejects what is returned.
        every: Seconds between two looks.
        stoppable: False for what has to come to its end also while the run stops.

    Raises:
        StoppedError: This process was asked to stop, and the last look was not accepted.
    """
    attempts = Retrying(
        retry=retry_if_result(lambda found: not done(found)),
        wait=wait_fixed(every),
        stop=stop_after_delay(max(seconds, 0.0)),
        sleep=partial(_pause, what) if stoppable else nap.sleep,
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    return attempts(look)


def _pause(what: str, seconds: float) -> None:
    stopping.STOP.wait(seconds)
    stopping.raise_if_stopped(what)
