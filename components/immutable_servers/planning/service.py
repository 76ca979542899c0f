"""Decides which generations of a service a run declares, and where its traffic goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from immutable_servers.ledger.pin import Pin
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.choice import Choice, choose
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.standbys import find_lost, sort_standbys
from immutable_servers.planning.wish import Wish


@dataclass(frozen=True)
class Plan:
    """What a run declares for one service.

    Attributes:
        desired: Where traffic goes once it is verified; its state says how far it is.
        servers: How many servers `desired` shall have.
        checks: Digest of the checks that `desired` must have passed.
        source_checks: Digest of the checks as the plan read them: those that a run executes.
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
    servers: int
    checks: str
    fresh: bool
    follows: bool
    proves: bool
    others: tuple[Record, ...]
    going: tuple[Record, ...]
    pin: Pin | None = None
    decided_at: int = 0
    notes: tuple[str, ...] = ()
    source_checks: str = ""

    @property
    def serves_unverified(self) -> bool:
        """Return whether `desired` has the traffic already, and no verdict in the ledger."""
        return self.desired.state is State.LIVE and not self.desired.verified

    @property
    def launches(self) -> bool:
        """Return whether the run makes new servers, be it one to prove checks on."""
        return self.proves or self.fresh

    @property
    def bakes(self) -> bool:
        """Return whether the run needs the image of the checkout's version."""
        return self.proves or (self.fresh and not self.desired.artifact)


def decide(wish: Wish, known: KnownService) -> Plan:
    """Return the plan for a service; no target is asked and nothing is changed.

    Raises:
        LedgerError: The pin names a generation that nobody knows.
    """
    chosen = choose(wish, known)
    desired = chosen.record.generation
    records = known.ledger.generations
    if wish.retiring is not None:
        named = [records.get(generation) for generation in wish.retiring]
        going = [record for record in named if record and record.generation != desired]
        return _make_plan(chosen, (), going, wish, find_lost(known))
    # A live fleet that lacks servers for good, or that never passed, is no way back: it goes once
    # `desired` serves.
    live = [r for r in known.list_in(State.LIVE) if r.generation != desired]
    live = [r for r in live if known.can_have(r, 0, wish) and known.is_way_back(r)]
    standbys = sort_standbys(known, wish.standbys, wish.now, desired)
    others = [*live[: wish.standbys.keep], *standbys.kept]
    staying = {desired, *(record.generation for record in others)}
    going = [r for r in records.values() if r.generation in known.fleets.keys() - staying]
    due = [f"standby {generation} {why}" for generation, why in standbys.due.items()]
    notes = [*due, *find_lost(known), *find_unverified(known), *find_unknown(known, going)]
    return _make_plan(chosen, others, going, wish, notes)


def find_unverified(known: KnownService) -> list[str]:
    """Return a note when what serves has no verdict in the ledger."""
    live = known.live
    if live is None or live.verified:
        return []
    note = (
        f"generation {live.generation} serves and the ledger has no verdict on it: a run died, or"
        " somebody moved the traffic by hand"
    )
    return [note]


def find_unknown(known: KnownService, going: Sequence[Record]) -> list[str]:
    """Return a note for each generation that goes because the state was lost, or never knew it."""
    return [
        f"generation {record.generation} goes: the state does not know it, so nobody can say that"
        " it was verified"
        for record in going
        if record.generation not in known.recorded.generations
    ]


def _make_plan(
    chosen: Choice,
    others: Sequence[Record],
    going: Sequence[Record],
    wish: Wish,
    notes: Sequence[str],
) -> Plan:
    record = chosen.record
    # Checks are those of the source: while it is not followed, changed ones are not run.
    changed = chosen.follows and record.checks != wish.checks
    # What never passed is verified in this run, by what the checkout has.
    wished = chosen.follows or chosen.fresh or not record.verified
    proves = changed and bool(record.verified) and not chosen.fresh
    if proves and wish.version in wish.gone:
        notes = [*notes, f"artifact {wish.version} is gone: baked again, for the changed checks"]
    return Plan(
        desired=record,
        # A service that stays keeps its count too: the request is not about it.
        servers=record.servers if wish.stays and not chosen.fresh else wish.servers,
        checks=wish.checks if wished else record.checks,
        source_checks=wish.checks,
        fresh=chosen.fresh,
        follows=chosen.follows,
        proves=proves,
        others=tuple(others),
        going=tuple(going),
        pin=chosen.pin,
        decided_at=int(wish.now),
        notes=(*chosen.notes, *notes),
    )
