"""Waits until the data plane follows: a balancer's API answers before all of its nodes do.

A service's own address is asked until it has given the right answers alone for a while. Only then
may a generation be drained that had traffic. Whoever drains one has seen that in this very run:
what an earlier run did before it was killed does not count.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from immutable_servers.contract.front import Ask, Front
from immutable_servers.contract.values import Say, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.place import Place
from immutable_servers.traffic.tally import Tally

ASK_SECONDS = 5.0
"""How long an address may take to answer for the first time that somebody serves at."""
SILENT_SECONDS = 15.0
"""After this a new address at which nobody so much as refuses is one that cannot be asked here."""
SPEAK_EVERY = 5.0
"""Seconds between two lines of progress."""
SETTLED: dict[Scope, str] = {}
"""By service the generation that alone answered when this process last looked. The engine has one
process for all resources of a run."""


def find_question(place: Place, front: Front, say: Say) -> Ask | None:
    """Return what asks an address that somebody serves at, None where this machine cannot ask.

    Raises:
        StoppedError: This process was asked to stop.
    """
    balancer = place.load().balancer
    ask = balancer.prepare_question(front, place.scope)
    replies = wait_until(
        f"asking for {place.scope.service}",
        ASK_SECONDS,
        ask,
        done=lambda found: any(reply.status for reply in found),
        every=balancer.settle_poll,
    )
    if any(reply.status for reply in replies):
        return ask
    say(f"its address cannot be asked from this machine ({replies[0].fault})")
    return None


def wait_until_settled(
    place: Place, front: Front, ask: Ask | None, tally: Tally, say: Say, *, new: bool = False
) -> bool:
    """Ask until the answers have been right for the time to settle; return whether they were.

    Without a question that time is waited out.

    Args:
        place: The place of the generation that the wait is about.
        front: How its service is asked.
        ask: What `find_question` returned.
        tally: What is right, and what was answered.
        say: Takes the progress.
        new: Nobody served at the address before, so that it may not be there yet.

    Raises:
        StoppedError: This process was asked to stop.
    """
    balancer, what = place.load().balancer, f"waiting for the balancer of {place.scope.service}"
    every, spoke = balancer.settle_poll, tally.began

    def is_over(ask: Ask) -> bool:
        nonlocal spoke
        asked = time.monotonic()
        tally.take(ask(), asked, time.monotonic())
        said = tally.describe_progress(front.settle) if asked - spoke >= SPEAK_EVERY else ""
        if said:
            spoke = asked
            say(said)
        return tally.quiet >= front.settle or (new and is_silent())

    def is_silent() -> bool:
        return not tally.heard and time.monotonic() - tally.began >= SILENT_SECONDS

    if ask:
        if not wait_until(what, find_deadline(place, front), partial(is_over, ask), every=every):
            return False
        if not (new and is_silent()):
            return True
    say(f"waits {front.settle:.0f} s, since this machine cannot ask the address")
    wait_until(what, front.settle, lambda: False, every=min(every, front.settle))
    return True


def find_deadline(place: Place, front: Front) -> float:
    """Return after how many seconds a wait has failed."""
    return place.load().balancer.settle_within + front.settle


def wait_until_left(place: Place, front: Mapping[str, Any] | None, say: Say) -> None:
    """Wait until a service's address gives no answer of a generation that has no traffic any more.

    Nothing is asked where this run has moved the traffic and seen it, where the traffic goes
    nowhere, and where the run declares no service.

    Args:
        place: The generation's.
        front: The plain form of the service's `Front`, None where the run declares none.
        say: Takes the progress.

    Raises:
        RetirementError: There still were such answers at the end of the time.
        StoppedError: This process was asked to stop.
    """
    scope, balancer = place.scope, place.load().balancer
    live = balancer.find_live(scope)
    if front is None or not live or SETTLED.get(replace(scope, generation="")) == live:
        return
    asked, began = Front.from_plain(front), time.monotonic()
    ask = find_question(place, asked, say)
    tally = Tally(name_generation(scope), began, began, leaving=True)
    if not wait_until_settled(place, asked, ask, tally, say):
        raise RetirementError(
            f"Generation {name_generation(scope)} is not deleted: the load balancer still sends it"
            " requests, though it says otherwise",
            facts=[f"within {find_deadline(place, asked):.0f} s {tally.describe()}"],
            todo="Run `./immutable up` again; see who else changes the balancer if this stays.",
        )


def note_settled(scope: Scope) -> None:
    """Note that a generation alone answers at its service's address."""
    SETTLED[replace(scope, generation="")] = scope.generation


def name_generation(scope: Scope) -> str:
    """Return a generation as its servers name it."""
    return f"{scope.service}-{scope.generation}"
