"""Lists what was changed by hand, and what the next `up` does about it."""

from collections.abc import Iterator, Mapping, Sequence

from immutable_servers.contract.values import Drift, Fleet, Health
from immutable_servers.driver.commands.status.models import DriftStatus
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.service import Plan

WHAT: Mapping[str, str] = {
    "missing": "is missing",
    "stopped": "does not run",
    "paused": "stands still",
    "added": "was added",
    "artifact": "is not of its image",
    "group": "is in the balancer's group and not of the fleet",
}
THEN: Mapping[str, str] = {
    "missing": "makes it again, sealed",
    "stopped": "starts it again",
    "paused": "lets it go on, when there is room",
    "added": "removes it",
    "artifact": "leaves it; `./immutable replace` makes new servers",
    "group": "leaves it; `./immutable replace` makes a new generation with a group of its own",
}
DROPPED = "drops the standby: it is not whole"


def list_drift(
    known: KnownService, found: Sequence[Drift], plan: Plan | None
) -> tuple[DriftStatus, ...]:
    """Return what was changed by hand of a service.

    Args:
        known: The service as its ledger and its target know it.
        found: What the target says of its fleets.
        plan: What an update would do now; None when that is not known.
    """
    return (
        *(_describe_server(drift, known.ledger) for drift in found),
        *_find_gone(known.recorded, known.fleets),
        *_find_moved(known, plan),
    )


def find_unbalanced(record: Record, health: Sequence[Health]) -> Iterator[DriftStatus]:
    """Yield a drift when the balancer does not know one healthy server of the live generation."""
    healthy = [one for one in health if one.ok]
    if record.state is State.LIVE and healthy and not any(one.serving for one in healthy):
        yield DriftStatus(
            kind="balancer",
            generation=record.generation,
            what="the balancer does not run, or its group holds none of the live servers",
            then="starts it, with its pointers and groups as they were",
        )


def _describe_server(drift: Drift, ledger: ServiceLedger) -> DriftStatus:
    record = ledger.generations.get(drift.generation)
    dropped = drift.kind == "missing" and record is not None and record.state is State.STANDBY
    return DriftStatus(
        kind=drift.kind,
        generation=drift.generation,
        server=drift.server,
        what=": ".join(filter(None, (f"server {drift.server} {WHAT[drift.kind]}", drift.detail))),
        then=DROPPED if dropped else THEN[drift.kind],
    )


def _find_gone(recorded: ServiceLedger, fleets: Mapping[str, Fleet]) -> Iterator[DriftStatus]:
    for record in recorded.generations.values():
        if record.state is State.RETIRED or record.generation in fleets:
            continue
        then = "forgets it: going back to it boots its image again"
        if record.state is State.LIVE:
            then = "makes a new round, verifies it, and moves the traffic"
        yield DriftStatus(
            kind="fleet",
            generation=record.generation,
            what=f"the {record.state} generation {record.generation} has no fleet any more",
            then=then,
        )


def _find_moved(known: KnownService, plan: Plan | None) -> Iterator[DriftStatus]:
    records = known.recorded.generations
    live = {g for g, record in records.items() if record.state is State.LIVE}
    sent = {generation: weight for generation, weight in known.traffic.items() if weight}
    if not live or set(sent) == live or not live <= set(known.fleets):
        return
    words = ", ".join(f"{weight} % to {generation}" for generation, weight in sent.items())
    (generation, *_) = live
    yield DriftStatus(
        kind="traffic",
        generation=generation,
        what=f"the balancer sends {words or 'nothing anywhere'}; the ledger has {generation} live",
        then=_word_move(plan, sent),
    )


def _word_move(plan: Plan | None, sent: Mapping[str, int]) -> str:
    if plan is None:
        return "decides by the source"
    desired = plan.desired.generation
    if set(sent) == {desired}:
        return "keeps it there: it is what the source asks for"
    return f"moves it to generation {desired}" + (", once it is verified" if plan.fresh else "")
