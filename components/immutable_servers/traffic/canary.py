"""A canary: a first share of the traffic, watched before the candidate gets all of it.

It happens inside Traffic's one update, since Pulumi changes a resource once in a run. A run that is
killed in it leaves shares behind, which the next run's diff sees: it sets the weights right.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from immutable_servers.context import Place
from immutable_servers.errors import TrafficError
from immutable_servers.targets.contract import Answers, Say, Scope, Target

ALL = 100
INTERVAL = 1.0
"""Seconds between two looks at the balancer's counters."""


@dataclass(frozen=True)
class Canary:
    """What is tried, and what it has to reach.

    Attributes:
        weight: Percent of the requests.
        watch: Seconds.
        max_error_rate: Share of the answers that may be server errors (5xx), from 0 to 1.
        min_requests: Fewer than these are a failure: they decide nothing.
    """

    weight: int
    watch: float
    max_error_rate: float
    min_requests: int


class Watch:
    """Adds up what a generation answered, over all the processes that count it."""

    def __init__(self, target: Target, scope: Scope) -> None:
        self.target = target
        self.scope = scope
        self.last = dict(target.find_answers(scope))
        self.seen = Answers(0, 0)

    def look(self) -> Answers:
        """Return the answers since the start; a counter that began anew counts from zero."""
        now = dict(self.target.find_answers(self.scope))
        for source, counted in now.items():
            before = self.last.get(source, Answers(0, 0))
            if counted.requests < before.requests:
                before = Answers(0, 0)
            self.seen = Answers(
                self.seen.requests + counted.requests - before.requests,
                self.seen.errors + counted.errors - before.errors,
            )
        self.last = now
        return self.seen


def try_canary(place: Place, live: str, canary: Canary, say: Say) -> None:
    """Give the place's generation a share, watch it, and give all back when it fails.

    Raises:
        TrafficError: Too many of its answers were errors, or too few requests came.
    """
    target = place.load()
    candidate = place.scope.generation
    watch = Watch(target, place.scope)
    target.set_traffic(place.scope, {live: ALL - canary.weight, candidate: canary.weight})
    say(f"canary: {canary.weight} % to generation {candidate} for {canary.watch:.0f} s")
    try:
        fault = judge(_wait(watch, canary), canary)
    except BaseException:
        target.set_traffic(place.scope, {live: ALL})
        raise
    if fault:
        target.set_traffic(place.scope, {live: ALL})
        raise TrafficError(
            f"The canary of {place.scope.service} failed: all traffic is back at generation {live}",
            facts=[f"generation {candidate}: {fault}"],
            todo="Mend the source and run `./immutable up` again, or revert it.",
        )
    say(f"canary: {watch.seen.requests} requests, {watch.seen.errors} errors")


def judge(answers: Answers, canary: Canary) -> str:
    """Say why a canary failed, or nothing."""
    if answers.requests < canary.min_requests:
        return f"only {answers.requests} requests came, {canary.min_requests} were wanted"
    if has_too_many_errors(answers, canary):
        return (
            f"{answers.errors} of {answers.requests} answers were errors, at most"
            f" {canary.max_error_rate:.1%} may be"
        )
    return ""


def has_too_many_errors(answers: Answers, canary: Canary) -> bool:
    """Compare the share of errors with the most that may be."""
    return answers.errors > canary.max_error_rate * answers.requests


def _wait(watch: Watch, canary: Canary) -> Answers:
    """Look until the time is over, or enough requests show too many errors."""

    def is_decided(answers: Answers) -> bool:
        enough = answers.requests >= max(1, canary.min_requests)
        return enough and has_too_many_errors(answers, canary)

    retrying = Retrying(
        retry=retry_if_result(lambda answers: not is_decided(answers)),
        stop=stop_after_delay(canary.watch),
        wait=wait_fixed(min(INTERVAL, canary.watch)),
        retry_error_callback=lambda _state: watch.look(),
    )
    return retrying(watch.look)


def read_canary(plain: Mapping[str, float] | None) -> Canary | None:
    """Read a canary from a resource's inputs."""
    if not plain:
        return None
    return Canary(
        weight=int(plain["weight"]),
        watch=float(plain["watch"]),
        max_error_rate=float(plain["max_error_rate"]),
        min_requests=int(plain["min_requests"]),
    )
