"""Which standbys stay: those whose fleet is whole, for a time, and not more than so many."""

from collections.abc import Mapping
from dataclasses import dataclass

from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.records import Record, ServiceLedger, State


@dataclass(frozen=True)
class Policy:
    """What the settings say of standbys.

    Attributes:
        keep: How many stay beside the live one.
        keep_for: Seconds that one is kept after traffic left it; None is without a limit.
    """

    keep: int
    keep_for: float | None = None


@dataclass(frozen=True)
class Standbys:
    """The standbys of a service, the newest first.

    Attributes:
        kept: Those that can take traffic at once, and stay.
        due: Why one goes though there would be room for it, by generation.
        beyond: What `keep` has no room for.
    """

    kept: tuple[Record, ...]
    due: Mapping[str, str]
    beyond: tuple[Record, ...]


def sort_standbys(
    ledger: ServiceLedger, fleets: Mapping[str, Fleet], policy: Policy, now: float, desired: str
) -> Standbys:
    """Tell which standbys stay beside the generation `desired`, by a completed ledger."""
    whole: list[Record] = []
    due: dict[str, str] = {}
    for record in sorted(ledger.generations.values(), key=lambda item: -item.order):
        if record.state is not State.STANDBY or record.generation == desired:
            continue
        why = _find_reason(record, fleets[record.generation], policy, now)
        if why:
            due[record.generation] = why
        else:
            whole.append(record)
    live = [record for record in ledger.generations.values() if record.state is State.LIVE]
    room = max(policy.keep - sum(record.generation != desired for record in live), 0)
    return Standbys(tuple(whole[:room]), due, tuple(whole[room:]))


def _find_reason(record: Record, fleet: Fleet, policy: Policy, now: float) -> str:
    if not fleet.whole:
        return "is not whole: it is dropped"
    over = policy.keep_for is not None and record.left_at + policy.keep_for < now
    return "was kept for long enough: it is retired" if record.left_at and over else ""


def find_lost(before: ServiceLedger, fleets: Mapping[str, Fleet]) -> list[str]:
    """Return a note for each standby of the last run whose fleet somebody else has deleted."""
    return [
        f"standby {generation} has no fleet any more: it is dropped"
        for generation, record in before.generations.items()
        if record.state is State.STANDBY and generation not in fleets
    ]
