"""What an interrupted run leaves, and what the next one does with it."""

from collections.abc import Mapping, Sequence

from immutable_servers.driver.phases import Work
from immutable_servers.errors import StoppedError

LEFT: Mapping[str, str] = {
    "bake": "nothing of it is kept; the next run bakes it from the start",
    "launch": "its servers stay and serve nobody; the next run takes them up",
    "verify": "it is not verified and serves nobody; the next run verifies it",
    "seal": "it is verified and serves nobody yet; the next run seals it",
    "traffic": "the balancer knows what serves; the next run reads it there and sets it right",
    "retire": "it is not deleted to the end; the next run goes on with that",
}
"""By phase. A source that was reverted meanwhile retires a candidate instead."""


def describe_interrupt(command: str, unfinished: Sequence[Work]) -> StoppedError:
    """Return what was under way, and how to go on, as the error that the run ends with."""
    left = [f"{work.phase} {work.name}: {LEFT[work.phase]}" for work in unfinished]
    return StoppedError(
        "Interrupted: what served goes on serving, and nothing is locked",
        facts=left or ["Nothing was left half-way."],
        todo=f"`./immutable {command}` goes on from here.",
    )
