"""Decides, without touching anything, which generations a run declares and where traffic goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.identity.generation import compute_generation_id
from immutable_servers.records import Record, ServiceLedger, State
from immutable_servers.targets.contract import Fleet


@dataclass(frozen=True)
class Wish:
    """What the checkout and the settings ask of one service.

    Attributes:
        shape: Digest of what our code gives a server at launch.
        now: Seconds since the epoch; only login windows are compared with it.
    """

    image: str
    version: str
    images: dict[str, str]
    launch: dict[str, Any]
    shape: str
    servers: int
    checks: str
    keep: int
    commit: str
    now: float


@dataclass(frozen=True)
class Plan:
    """What a run declares for one service.

    Attributes:
        desired: Where traffic goes once it is verified; its state says how far it is.
        fresh: It was never launched: this run makes it.
        others: The other generations that stay: the live one, and standbys.
        going: Known generations with a fleet that this run does not declare.
        notes: What a reader of the preview should know.
    """

    desired: Record
    fresh: bool
    others: tuple[Record, ...]
    going: tuple[Record, ...]
    notes: tuple[str, ...] = field(default=())


def decide(wish: Wish, ledger: ServiceLedger, fleets: Mapping[str, Fleet]) -> Plan:
    """Return the plan for a ledger that `ledger.complete` has made.

    `fleets` is what the target says exists, by generation.
    """
    notes: list[str] = []
    desired, fresh = _choose(wish, ledger, fleets, notes)
    live = [
        record
        for record in ledger.generations.values()
        if record.state is State.LIVE and record.generation != desired.generation
    ]
    standbys = _find_standbys(ledger, fleets, desired, notes)
    kept = (live + standbys)[: wish.keep]
    staying = {desired.generation, *(record.generation for record in kept)}
    going = [
        record
        for generation, record in ledger.generations.items()
        if generation in fleets and generation not in staying
    ]
    return Plan(desired, fresh, tuple(kept), tuple(going), tuple(notes))


def _choose(
    wish: Wish, ledger: ServiceLedger, fleets: Mapping[str, Fleet], notes: list[str]
) -> tuple[Record, bool]:
    made = [
        record
        for record in ledger.generations.values()
        if record.is_same_make(wish.version, wish.launch, wish.shape)
    ]
    last = max(made, key=lambda record: record.round, default=None)
    if last is None:
        return _begin(wish, ledger, 0), True
    unfit = _find_fault(last, fleets.get(last.generation), wish.now)
    if unfit:
        notes.append(f"generation {last.generation} {unfit}: made again as round {last.round + 1}")
        return _begin(wish, ledger, last.round + 1), True
    return last, False


def _find_fault(record: Record, fleet: Fleet | None, now: float) -> str:
    """Say why a generation cannot be used any more, or nothing."""
    if fleet is None:
        return "has no fleet any more"
    if fleet.leaving:
        return "is being deleted"
    if record.state is State.LIVE:
        return ""
    if record.verified:
        return "" if fleet.whole else "is not whole"
    return "" if record.window_ends > now else "was not verified within its login window"


def _begin(wish: Wish, ledger: ServiceLedger, round_: int) -> Record:
    return Record(
        generation=compute_generation_id(wish.version, wish.launch, {"digest": wish.shape}, round_),
        order=ledger.last_order + 1,
        state=State.CANDIDATE,
        image=wish.image,
        version=wish.version,
        images=wish.images,
        artifact="",
        launch=wish.launch,
        shape=wish.shape,
        servers=wish.servers,
        round=round_,
        commit=wish.commit,
        checks=wish.checks,
    )


def _find_standbys(
    ledger: ServiceLedger, fleets: Mapping[str, Fleet], desired: Record, notes: list[str]
) -> list[Record]:
    """Return the standbys that can take traffic at once, the newest first."""
    found: list[Record] = []
    for record in sorted(ledger.generations.values(), key=lambda item: -item.order):
        if record.state is not State.STANDBY or record.generation == desired.generation:
            continue
        if fleets[record.generation].whole:
            found.append(record)
        else:
            notes.append(f"standby {record.generation} is not whole: it is dropped")
    return found
