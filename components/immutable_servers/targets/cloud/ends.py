"""Finds things whose time is over: a tag holds it, in seconds since the epoch.

Whoever makes a bake, a probe or an open login writes its end with it, so that what a killed run
left behind can be recognized without asking anybody.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from immutable_servers.contract.ownership import Kind, Leftover

BAKE, PROBE, WINDOW = "bake-ends", "probe-ends", "window-ends"
ENDS: Mapping[str, str] = {BAKE: "a bake", PROBE: "a probe", WINDOW: "a login window"}
"""Tags that hold an end, and what the thing was made for."""
ONE_DAY = 24 * 3600
"""Longer than any bake may take, in seconds."""


class Thing(NamedTuple):
    """Something in the account, with our own tags of it, without their prefix."""

    name: str
    words: Mapping[str, str]


def is_over(words: Mapping[str, str], end: str) -> bool:
    """Return whether a thing's time is over; without an end it is."""
    return float(words.get(end) or 0) < time.time()


def describe_end(words: Mapping[str, str]) -> str:
    """Return what a thing was for and when it ended; empty while it may be in use."""
    for end, what in ENDS.items():
        try:
            ends = float(words[end])
        except (KeyError, ValueError):
            continue  # a damaged end proves nothing
        if ends < time.time():
            at = dt.datetime.fromtimestamp(ends, dt.UTC)
            return f"of {what} that had to end at {at:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def is_old(made: dt.datetime) -> bool:
    """Return whether a thing without an end was made more than a day ago."""
    return time.time() - made.timestamp() > ONE_DAY


def make_kind(find: Callable[[], Iterator[Leftover]], remove: Callable[[str], object]) -> Kind:
    """Return a kind of leftovers that no state is asked about."""

    def remove_it(name: str, _ask: object) -> bool:
        remove(name)
        return True

    return Kind(lambda _ask: find(), remove_it)


def make_ended_kind(
    kind: str, find: Callable[[], Iterable[Thing]], remove: Callable[[str], object]
) -> Kind:
    """Return the kind of things whose time is over."""

    def find_ended() -> Iterator[Leftover]:
        for thing in find():
            if why := describe_end(thing.words):
                yield Leftover(kind, thing.name, why)

    return make_kind(find_ended, remove)
