"""Decides which standbys stay: whole ones, for `keep_for`, and at most `keep` of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.wish import Policy


@dataclass(frozen=True)
class Standbys:
    """The standbys of a service, the one that served last first.

    Attributes:
        kept: Those that can take traffic at once, and stay.
        due: Those that go whatever `keep` says: the reason by generation.
        beyond: Those that `keep` has no room for.
    """

    kept: tuple[Record, ...]
    due: Mapping[str, str]
    beyond: tuple[Record, ...]


def sort_standbys(known: KnownService, policy: Policy, now: float, desired: str) -> Standbys:
    """Return which standbys stay beside the generation `desired`, and which go."""
    whole: list[Record] = []
    due: dict[str, str] = {}
    for record in known.list_left(State.STANDBY):
        if record.generation == desired:
            continue
        inspected = known.find_inspection(record)
        why = f"cannot serve ({inspected}): it is dropped" if inspected else ""
        why = why or _find_reason(record, known.fleets[record.generation], policy, now)
        if why:
            due[record.generation] = why
        else:
            whole.append(record)
    # Once traffic has moved to `desired`, what is live now is a standby and takes a place.
    live = [record for record in known.list_in(State.LIVE) if record.generation != desired]
    left = [record for record in live if known.is_way_back(record)]
    room = max(policy.keep - len(left), 0)
    return Standbys(tuple(whole[:room]), due, tuple(whole[room:]))


def _find_reason(record: Record, fleet: Fleet, policy: Policy, now: float) -> str:
    if not fleet.whole:
        return "is not whole: it is dropped"
    over = policy.keep_for is not None and record.left_at + policy.keep_for < now
    return "was kept for long enough: it is retired" if record.left_at and over else ""


def find_lost(known: KnownService) -> list[str]:
    """Return a note for each standby of the last run whose fleet somebody else has deleted."""
    return [
        f"standby {generation} has no fleet any more: it is dropped"
        for generation, record in known.recorded.generations.items()
        if record.state is State.STANDBY and generation not in known.fleets
    ]
