"""Waits with a deadline for what only a look can tell; a stop of the run ends the wait."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import TypeVar

from tenacity import Retrying, nap, retry_if_result, stop_after_delay, wait_fixed

from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping

T = TypeVar("T")
GRACE_SECONDS = 1.0
"""How long what is under way may take to end after a stop, before it is left alone."""


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


def run_until_stopped(what: str, work: Callable[[], T]) -> T:
    """Do what cannot be cut short, such as a call that a library repeats; return its result.

    A stop leaves it alone in a thread that holds nothing up. What is begun after the stop cleans
    up: it is done to its end.

    Args:
        what: What a stopped run says was ended.
        work: Touches nothing of its caller's.

    Raises:
        StoppedError: This process was asked to stop meanwhile.
    """
    if stopping.STOP.is_set():
        return work()
    over = Event()
    begun = begin(work)
    begun.add_done_callback(lambda _begun: over.set())
    with suppress(StoppedError), stopping.on_stop(over.set, what):
        over.wait()
    if wait([begun], GRACE_SECONDS).not_done:
        stopping.raise_if_stopped(what)
    return begun.result()


def begin(work: Callable[[], T]) -> "Future[T]":
    """Do something in a thread that does not hold up the end of this process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _pause(what: str, seconds: float) -> None:
    stopping.STOP.wait(seconds)
    stopping.raise_if_stopped(what)
