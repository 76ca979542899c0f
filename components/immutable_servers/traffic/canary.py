"""A trial under traffic: a first share of it is watched, then the whole of it.

It happens inside Traffic's one update, since Pulumi changes a resource once in a run. A run that is
killed in it leaves shares behind, which the next run ends first: see `traffic/shares.py`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from immutable_servers.contract.values import ALL, Answers, Say
from immutable_servers.errors import TrafficError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.place import Place
from immutable_servers.traffic.back import go_back

INTERVAL = 1.0
"""Seconds between two looks at the balancer's counters."""


@dataclass(frozen=True)
class Canary:
    """The share and time of a trial, and the limits it must keep.

    Attributes:
        weight: Percent of the requests.
        watch: Seconds.
        max_error_rate: Share of the answers that may be server errors (5xx), from 0 to 1.
        min_requests: Fewer than these are a failure: they decide nothing.
        watch_after: Seconds for which all of the traffic is watched too; 0 is not at all.
    """

    weight: int
    watch: float
    max_error_rate: float
    min_requests: int
    watch_after: float = 0.0


class Watch:
    """Counts what a generation answers from now on, over all processes of the balancer."""

    def __init__(self, place: Place) -> None:
        """Begin to count.

        Raises:
            TrafficError: There are no numbers.
        """
        self.target, self.scope = place.load(), place.scope
        self.seen = Answers(0, 0)
        self.last = self._count()

    def look(self) -> Answers:
        """Return the answers since the start; a counter that began anew counts from zero."""
        now = self._count()
        for source, counted in now.items():
            before = self.last.get(source, Answers(0, 0))
            if counted.requests < before.requests:
                before = Answers(0, 0)
            self.seen = Answers(
                self.seen.requests + counted.requests - before.requests,
                self.seen.errors + counted.errors - before.errors,
                self.seen.unsettled + counted.unsettled - before.unsettled,
            )
        self.last |= now  # who says nothing for once has not begun anew
        return self.seen

    def _count(self) -> dict[str, Answers]:
        now = dict(self.target.balancer.find_answers(self.scope))
        if not now:
            raise TrafficError("The balancer has no numbers of it")
        return now


def try_canary(place: Place, live: str, canary: Canary, say: Say) -> str:
    """Give the place's generation a share, watch it, and give all back when it fails.

    Returns:
        Why it failed, empty when it did not.

    Raises:
        StoppedError: This process was asked to stop; all traffic is back.
    """
    target = place.load()
    candidate = place.scope.generation
    try:
        watch = Watch(place)
    except TrafficError as error:
        return f"before its canary began, {_tell(error)}"
    try:
        target.balancer.set_traffic(
            place.scope, {live: ALL - canary.weight, candidate: canary.weight}
        )
        say(f"canary: {canary.weight} % to generation {candidate} for {canary.watch:.0f} s")
        fault = find_fault(watch, canary.watch, canary)
    except BaseException:
        target.balancer.set_traffic(place.scope, {live: ALL})
        raise
    if fault:
        target.balancer.set_traffic(place.scope, {live: ALL})
        say(f"canary: {fault}; all traffic is back at generation {live}")
        return f"as a canary of {canary.weight} %: {fault}"
    say(f"canary: {watch.seen.requests} requests, {watch.seen.errors} errors")
    return ""


def watch_all(place: Place, back: str, canary: Canary, say: Say) -> str:
    """Watch a generation that has all of the traffic, and go back to `back` when it fails.

    Returns:
        Why it failed, and what keeps the traffic there if it cannot go back; empty when it did not.
    """
    candidate = place.scope.generation
    say(f"watches generation {candidate} with all of the traffic for {canary.watch_after:.0f} s")
    try:
        watch = Watch(place)
        fault = find_fault(watch, canary.watch_after, canary)
    except TrafficError as error:
        fault = _tell(error)
    if not fault:
        say(f"watched: {watch.seen.requests} requests, {watch.seen.errors} errors")
        return ""
    kept = go_back(place, back)
    say(f"{fault}; {kept or f'all traffic is back at generation {back}'}")
    return "; ".join(filter(None, (f"with all of the traffic: {fault}", kept)))


def find_fault(watch: Watch, seconds: float, canary: Canary) -> str:
    """Watch until the time is over or the result is certain; return the fault, empty for none."""
    try:
        return judge(_wait(watch, seconds, canary), canary)
    except TrafficError as error:
        return _tell(error)


def judge(answers: Answers, canary: Canary) -> str:
    """Return why the answers are not good enough, empty when they are."""
    if answers.requests < canary.min_requests:
        return f"only {answers.requests} requests came, {canary.min_requests} were wanted"
    if has_too_many_errors(answers, canary):
        return (
            f"{answers.errors} of {answers.requests} answers were errors, at most"
            f" {100 * canary.max_error_rate:.1f} % may be"
        )
    return ""


def has_too_many_errors(answers: Answers, canary: Canary) -> bool:
    """Return whether the share of errors is higher than allowed."""
    return answers.errors > canary.max_error_rate * answers.requests


def _tell(error: TrafficError) -> str:
    return f"its answers could not be counted ({'; '.join((error.what, *error.facts))})"


def _wait(watch: Watch, seconds: float, canary: Canary) -> Answers:
    """Wait until the time is over, or enough requests show too many errors.

    Where numbers come late, what is missing at the end is waited for.
    """
    end = time.monotonic() + seconds

    def is_decided(answers: Answers) -> bool:
        enough = answers.requests >= max(1, canary.min_requests)
        is_whole = enough and not answers.unsettled and time.monotonic() >= end
        return is_whole or (enough and has_too_many_errors(answers, canary))

    what, every = "the watch of the traffic", min(INTERVAL, seconds)
    longest = seconds + watch.target.balancer.counts_within
    return wait_until(what, longest, watch.look, done=is_decided, every=every)


def read_canary(plain: Mapping[str, float] | None) -> Canary | None:
    """Read a canary from a resource's inputs."""
    if not plain:
        return None
    return Canary(
        weight=int(plain["weight"]),
        watch=float(plain["watch"]),
        max_error_rate=float(plain["max_error_rate"]),
        min_requests=int(plain["min_requests"]),
        watch_after=float(plain.get("watch_after", 0)),
    )
