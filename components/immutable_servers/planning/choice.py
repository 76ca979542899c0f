"""Chooses the generation that a service gets: by a request, a pin, or the source."""

from dataclasses import dataclass, replace

from immutable_servers.errors import LedgerError
from immutable_servers.identity.generation import compute_generation_id
from immutable_servers.ledger.pin import Pin, Pinned
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.wish import Wish
from immutable_servers.settings.durations import render_duration


@dataclass(frozen=True)
class Choice:
    """The generation that traffic goes to once it is verified.

    Attributes:
        fresh: It was never launched: this run makes it.
        pin: What the ledger keeps of a pin from now on.
        notes: What a reader of the preview should know.
        follows: The source asks for it.
    """

    record: Record
    fresh: bool
    pin: Pin | None = None
    notes: tuple[str, ...] = ()
    follows: bool = True


def choose(wish: Wish, known: KnownService) -> Choice:
    """Return what the pin says, else what was asked for by hand, else what the source says.

    Raises:
        LedgerError: The pin names a generation that nobody knows.
    """
    live, pin = known.live, known.ledger.pin
    # Before all else: a run for another service must not change this one.
    if live and wish.stays:
        return Choice(live, fresh=False, pin=pin, follows=False)
    if isinstance(pin, Pinned):
        return _choose_pinned(pin, wish, known)
    if live and wish.again:
        asked = known.find_failed(wish) or live
        return _make_again(asked, f"is replaced by hand ({wish.again})", wish, known, pin)
    # What a rollback left does not come back by itself after `resume`. Another generation does,
    # and drops the pin.
    stays = None
    if pin and known.is_left(pin.held, wish):
        stays = live or known.ledger.generations.get(pin.instead or "")
    chosen = _choose_held(stays, wish, known) if stays else _choose_by_source(wish, known)
    if live and chosen.record.generation == live.generation and _is_too_old(live, wish):
        why = f"is older than {render_duration(wish.max_age or 0)}"
        return _make_again(live, why, wish, known, chosen.pin)
    return chosen


def _is_too_old(live: Record, wish: Wish) -> bool:
    if wish.max_age is None or not live.launched_at:
        return False
    return live.launched_at + wish.max_age < wish.now


def _choose_pinned(pin: Pinned, wish: Wish, known: KnownService) -> Choice:
    """Choose the pinned generation, or another round of its artifact where it cannot be used.

    A run with `--target` may leave out the round that it pinned. No ledger has that round then, and
    `again` names the generation that it was to be a round of.
    """
    records = known.ledger.generations
    pinned = records.get(pin.generation) or records.get(pin.again or "")
    if pinned is None:
        raise LedgerError(
            f"The pin names generation {pin.generation}, which the ledger does not know",
            todo="Run `./immutable resume`, or roll back to one that `./immutable status` lists.",
        )
    chosen = _choose_same(pinned, wish, known)
    note = (
        f"pinned to generation {chosen.record.generation} by {pin.who} at {pin.at}"
        f" ({pin.why}): the source is not followed until `./immutable resume`"
    )
    again = pinned.generation if chosen.fresh else pin.again
    return replace(
        chosen,
        pin=replace(pin, generation=chosen.record.generation, again=again),
        notes=(*chosen.notes, note),
        follows=False,
    )


def _choose_held(record: Record, wish: Wish, known: KnownService) -> Choice:
    """Keep the generation of a rollback while source and settings give the one that it left."""
    chosen = _choose_same(record, wish, known)
    note = (
        f"what a rollback left is held off: generation {chosen.record.generation} stays until the"
        " source or the settings change, or `./immutable resume --now`"
    )
    pin, notes = known.ledger.pin, (*chosen.notes, note)
    return replace(chosen, pin=pin, notes=notes, follows=False)


def _choose_same(record: Record, wish: Wish, known: KnownService) -> Choice:
    """Choose a generation, or another round of its artifact where it cannot be used."""
    if not known.find_fault(record, wish):
        return Choice(record, fresh=False)
    chosen = _choose_by_source(_wish_for(record, wish), known)
    # Only where the catalog lost an artifact that the checkout can bake, a bake is asked for.
    if chosen.fresh and not (record.version == wish.version and wish.version in wish.gone):
        chosen = replace(chosen, record=replace(chosen.record, artifact=record.artifact))
    return chosen


def _choose_by_source(wish: Wish, known: KnownService) -> Choice:
    """Choose the live or else the last round of the wished make; begin the next if none is fit."""
    rounds = known.find_rounds(wish)
    if not rounds:
        return Choice(_begin(wish, known, 0), fresh=True)
    live = [record for record in rounds if record.state is State.LIVE]
    last = (live or rounds)[-1]
    unfit = known.find_fault(last, wish)
    if unfit:
        fit = [record for record in rounds if _replaces(record, last, wish, known)]
        last, unfit = (fit[-1], "") if fit else (last, unfit)
    if not unfit:
        failed = last.fault and last.state is not State.LIVE
        notes = (describe_failure(last),) if failed else ()
        # An early program's record learns what the catalog's artifact of its version has proven.
        digest = last.digest or ("" if wish.version in wish.gone else wish.digest)
        record = replace(last, data_version=wish.data_version, digest=digest)
        return Choice(record, fresh=False, notes=notes)
    next_round = rounds[-1].round + 1
    note = f"generation {last.generation} {unfit}: made again as round {next_round}"
    return Choice(_begin(wish, known, next_round), fresh=True, notes=(note,))


def _replaces(record: Record, unfit: Record, wish: Wish, known: KnownService) -> bool:
    """Return whether another round serves in place of an unfit one.

    A later one may have been begun by a run that failed; an earlier one has to be a standby: what
    came after it may have been retired before it served.
    """
    is_due = record.round > unfit.round or bool(record.verified)
    return is_due and not record.fault and not known.find_fault(record, wish)


def describe_failure(record: Record) -> str:
    """Return why a generation that failed under traffic gets no traffic again."""
    return (
        f"generation {record.generation} failed under traffic ({record.fault}): it gets none until"
        " the source or the canary's settings change, or `./immutable replace`"
    )


def _make_again(old: Record, why: str, wish: Wish, known: KnownService, pin: Pin | None) -> Choice:
    """Choose the next round of the same image: one that was made and never served, or a new one."""
    again = _wish_for(old, wish)
    rounds = known.find_rounds(again)
    last = rounds[-1] if rounds else None
    is_unused = last is not None and last.generation != old.generation and not last.left_at
    # `replace` asks for a new try, and a round that has failed under traffic is none.
    has_failed = last is not None and bool(last.fault and wish.again)
    if last and is_unused and not has_failed and not known.find_fault(last, again):
        note = f"generation {old.generation} {why}: round {last.round} was made already"
        return Choice(last, fresh=False, pin=pin, notes=(note,))
    next_round = last.round + 1 if last else 0
    note = f"generation {old.generation} {why}: made again as round {next_round}"
    record = _begin(again, known, next_round)
    # The checkout cannot bake another version than its own: that one needs its artifact.
    if old.version != wish.version:
        record = replace(record, artifact=old.artifact)
    return Choice(record, fresh=True, pin=pin, notes=(note,))


def _wish_for(record: Record, wish: Wish) -> Wish:
    """Return the wish for another round of a generation, whatever the source says."""
    return replace(
        wish,
        image=record.image,
        version=record.version,
        digest=record.digest,
        images=record.images,
        launch=record.launch,
        commit=record.commit,
        data_version=record.data_version,
    )


def _begin(wish: Wish, known: KnownService, round_: int) -> Record:
    """Return the record of a round that does not exist yet.

    An id that is in use is not used again: another make may have the same eight digits. Nor is one
    that the balancer still points to when its fleet was lost before a run recorded it: the new
    servers would get traffic before they are verified.
    """
    shape = {"digest": wish.shape}
    generation = compute_generation_id(wish.version, wish.launch, shape, round_)
    if generation in known.traffic or generation in known.ledger.generations:
        return _begin(wish, known, round_ + 1)
    return Record(
        generation=generation,
        order=known.ledger.last_order + 1,
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
        data_version=wish.data_version,
        digest=wish.digest,
    )
