"""Decides, without touching anything, which generations a run declares and where traffic goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.pin import Pin
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.choice import Choice, choose
from immutable_servers.planning.known import Known
from immutable_servers.planning.standbys import sort_standbys
from immutable_servers.planning.wish import Wish


@dataclass(frozen=True)
class Plan:
    """What a run declares for one service.

    Attributes:
        desired: Where traffic goes once it is verified; its state says how far it is.
        fresh: It was never launched: this run makes it.
        follows: The source asks for it, and not a pin or a request to stay.
        proves: The checks changed: they are to pass on one fresh server of its artifact.
        others: The other generations that stay: the live one, and standbys.
        going: Known generations with a fleet that are deleted.
        pin: What the ledger keeps of a pin.
        decided_at: When, in seconds since the epoch.
        notes: What a reader of the preview should know.
    """

    desired: Record
    fresh: bool
    follows: bool
    proves: bool
    others: tuple[Record, ...]
    going: tuple[Record, ...]
    pin: Pin | None = None
    decided_at: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def bakes(self) -> bool:
        """Tell whether the run needs the image of the checkout's version."""
        return self.proves or (self.fresh and not self.desired.artifact)


def decide(wish: Wish, ledger: ServiceLedger, fleets: Mapping[str, Fleet]) -> Plan:
    """Return the plan for a ledger that `ledger.complete` has made.

    `fleets` is what the target says exists, by generation.

    Raises:
        LedgerError: The pin names a generation that nobody knows.
    """
    known = Known(ledger, fleets)
    chosen = choose(wish, known)
    desired = chosen.record.generation
    if wish.retiring is not None:
        named = [ledger.generations.get(generation) for generation in wish.retiring]
        going = [record for record in named if record and record.generation != desired]
        return _make_plan(chosen, (), going, wish, ())
    records = ledger.generations.values()
    live = [r for r in records if r.state is State.LIVE and r.generation != desired]
    live = [record for record in live if known.can_have(record, 0, wish)]
    standbys = sort_standbys(ledger, fleets, wish.standbys, wish.now, desired)
    others = [*live[: wish.standbys.keep], *standbys.kept]
    staying = {desired, *(record.generation for record in others)}
    going = [r for r in records if r.generation in fleets and r.generation not in staying]
    notes = [f"standby {generation} {why}" for generation, why in standbys.due.items()]
    return _make_plan(chosen, others, going, wish, notes)


def _make_plan(
    chosen: Choice,
    others: Sequence[Record],
    going: Sequence[Record],
    wish: Wish,
    notes: Sequence[str],
) -> Plan:
    record = chosen.record
    changed = chosen.follows and record.checks != wish.checks
    return Plan(
        desired=record,
        fresh=chosen.fresh,
        follows=chosen.follows,
        proves=changed and bool(record.verified) and not chosen.fresh,
        others=tuple(others),
        going=tuple(going),
        pin=chosen.pin,
        decided_at=int(wish.now),
        notes=(*chosen.notes, *notes),
    )
