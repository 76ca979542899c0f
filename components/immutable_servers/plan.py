"""Decides, without touching anything, which generations a run declares and where traffic goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from immutable_servers.errors import LedgerError
from immutable_servers.identity.generation import compute_generation_id
from immutable_servers.records import Record, ServiceLedger, State
from immutable_servers.targets.contract import Fleet


@dataclass(frozen=True)
class Wish:
    """What the checkout and the settings ask of one service.

    Attributes:
        shape: Digest of what our code gives a server at launch.
        keep_for: Seconds that a standby is kept after traffic left it; None is without a limit.
        again: Why a live generation is to be made again as the next round; empty when it is not.
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
    keep_for: float | None = None
    again: str = ""


@dataclass(frozen=True)
class Plan:
    """What a run declares for one service.

    Attributes:
        desired: Where traffic goes once it is verified; its state says how far it is.
        fresh: It was never launched: this run makes it.
        others: The other generations that stay: the live one, and standbys.
        going: Known generations with a fleet that this run does not declare.
        pin: What the ledger keeps of a pin, empty without one.
        decided_at: When, in seconds since the epoch.
        notes: What a reader of the preview should know.
    """

    desired: Record
    fresh: bool
    others: tuple[Record, ...]
    going: tuple[Record, ...]
    pin: dict[str, str] = field(default_factory=dict)
    decided_at: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def bakes(self) -> bool:
        """Tell whether the run needs the image of the checkout's version."""
        return self.fresh and not self.desired.artifact


def decide(wish: Wish, ledger: ServiceLedger, fleets: Mapping[str, Fleet]) -> Plan:
    """Return the plan for a ledger that `ledger.complete` has made.

    `fleets` is what the target says exists, by generation.
    """
    notes: list[str] = []
    desired, fresh, pin = _choose_by_pin(wish, ledger, fleets, notes)
    live = [
        record
        for record in ledger.generations.values()
        if record.state is State.LIVE and record.generation != desired.generation
    ]
    standbys = _find_standbys(wish, ledger, fleets, desired, notes)
    kept = (live + standbys)[: wish.keep]
    staying = {desired.generation, *(record.generation for record in kept)}
    going = [
        record
        for generation, record in ledger.generations.items()
        if generation in fleets and generation not in staying
    ]
    return Plan(desired, fresh, tuple(kept), tuple(going), pin, int(wish.now), tuple(notes))


def _choose_by_pin(
    wish: Wish, ledger: ServiceLedger, fleets: Mapping[str, Fleet], notes: list[str]
) -> tuple[Record, bool, dict[str, str]]:
    """Choose what the pin says, else what the source says; return the pin as it is from now on."""
    pin = ledger.pin
    if "generation" in pin:
        record, fresh = _choose_pinned(pin["generation"], wish, ledger, fleets, notes)
        notes.append(
            f"pinned to generation {record.generation} by {pin.get('who')} at {pin.get('at')}"
            f" ({pin.get('why')}): the source is not followed until `./immutable resume`"
        )
        return record, fresh, {**pin, "generation": record.generation}
    live = next((r for r in ledger.generations.values() if r.state is State.LIVE), None)
    if live and pin.get("held") == wish.version:
        notes.append(
            f"version {wish.version} was left by a rollback: generation {live.generation} stays"
            " until the source gives another, or `./immutable resume --now`"
        )
        return live, False, pin
    return *_choose(wish, ledger, fleets, notes), {}


def _choose_pinned(
    generation: str,
    wish: Wish,
    ledger: ServiceLedger,
    fleets: Mapping[str, Fleet],
    notes: list[str],
) -> tuple[Record, bool]:
    """Return the pinned generation, or where it cannot be used another round of its artifact."""
    pinned = ledger.generations.get(generation)
    if pinned is None:
        raise LedgerError(
            f"The pin names generation {generation}, which the ledger does not know",
            todo="Run `./immutable resume`, or roll back to one that `./immutable status` lists.",
        )
    if not _find_fault(pinned, fleets.get(generation), wish.now):
        return pinned, False
    again = replace(
        wish,
        image=pinned.image,
        version=pinned.version,
        images=pinned.images,
        launch=pinned.launch,
        commit=pinned.commit,
    )
    record, fresh = _choose(again, ledger, fleets, notes)
    return (replace(record, artifact=pinned.artifact) if fresh else record), fresh


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
    if not unfit and wish.again and last.state is State.LIVE:
        unfit = f"is replaced by hand ({wish.again})"
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
    wish: Wish,
    ledger: ServiceLedger,
    fleets: Mapping[str, Fleet],
    desired: Record,
    notes: list[str],
) -> list[Record]:
    """Return the standbys that can take traffic at once, the newest first."""
    found: list[Record] = []
    for record in sorted(ledger.generations.values(), key=lambda item: -item.order):
        if record.state is not State.STANDBY or record.generation == desired.generation:
            continue
        if not fleets[record.generation].whole:
            notes.append(f"standby {record.generation} is not whole: it is dropped")
        elif wish.keep_for and record.left_at and record.left_at + wish.keep_for < wish.now:
            notes.append(f"standby {record.generation} was kept for long enough: it is retired")
        else:
            found.append(record)
    return found
