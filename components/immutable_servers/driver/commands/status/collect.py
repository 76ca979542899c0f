"""Collects a stack's status from its ledger and its target; changes nothing."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Fleet, Health
from immutable_servers.driver.commands.preview.services import preview_services
from immutable_servers.driver.commands.preview.words import word_move
from immutable_servers.driver.commands.status.drift import find_unbalanced, list_drift
from immutable_servers.driver.commands.status.images import list_images, list_locks
from immutable_servers.driver.commands.status.models import (
    DriftStatus,
    GenerationStatus,
    ServerStatus,
    ServiceStatus,
    SourceStatus,
    StackStatus,
)
from immutable_servers.driver.project.opened import Opened
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.reader import OUTPUT, complete, parse_ledgers
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.service import Plan
from immutable_servers.planning.stack import StackPlan, plan_stack
from immutable_servers.targets.place import Place

AT_ONCE = 8


@dataclass(frozen=True)
class Asked:
    """A service as its ledger and its target have it now.

    Attributes:
        known: Its ledger as the last run left it.
        ledger: The same, completed by what the target says.
        health: What the servers answered, by generation.
    """

    known: ServiceLedger
    ledger: ServiceLedger
    fleets: Mapping[str, Fleet]
    traffic: Mapping[str, int]
    health: Mapping[str, list[Health]] = field(default_factory=dict)

    @property
    def there(self) -> list[Record]:
        """The generations that exist, the newest first."""
        records = [one for one in self.ledger.generations.values() if one.generation in self.fleets]
        return sorted(records, key=lambda record: -record.order)


def collect(stack: Opened, outputs: Mapping[str, Any]) -> StackStatus:
    """Return the status of a stack whose last run had these outputs.

    Raises:
        ImmutableError: Ledger or target cannot be read.
    """
    place, target = stack.place, stack.target
    known = parse_ledgers(outputs.get(OUTPUT))
    asked = {name: ask_service(place.of(name), target, ledger) for name, ledger in known.items()}
    planned, notes = _plan(stack, known)
    sources = _describe_sources(planned)
    addresses = {
        name: str((found or {}).get("address", ""))
        for name, found in (outputs.get("services") or {}).items()
    }
    now = datetime.now(UTC)
    return StackStatus(
        stack=stack.name,
        project=stack.scope.project,
        target=place.target,
        services=tuple(
            ServiceStatus(
                name=name,
                address=addresses.get(name, ""),
                pin=one.ledger.pin,
                generations=tuple(_describe(one, record) for record in one.there),
                drift=_list_drift(place.of(name), target, one, _find_plan(planned, name)),
                source=sources.get(name),
            )
            for name, one in asked.items()
        ),
        images=list_images(
            target.images, {name: one.there for name, one in asked.items()}, planned, now
        ),
        locks=list_locks(stack.root, stack.settings, target, now),
        notes=notes,
    )


def ask_service(place: Place, target: Target, known: ServiceLedger) -> Asked:
    """Ask the target for a service's fleets and traffic, and every server for its health.

    Raises:
        ImmutableError: The target cannot be asked.
    """
    fleets, traffic = target.fleets.find(place.scope), target.balancer.find_weights(place.scope)
    asked = Asked(known, complete(known, fleets, traffic), fleets, traffic)
    there = [record for record in asked.there if not fleets[record.generation].leaving]

    def ask(record: Record) -> list[Health]:
        return list(target.fleets.find_health(place.at(record.generation).scope))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, there))
    health = {record.generation: found for record, found in zip(there, answers, strict=True)}
    return Asked(known, asked.ledger, fleets, traffic, health)


def _describe(asked: Asked, record: Record) -> GenerationStatus:
    fleet = asked.fleets[record.generation]
    return GenerationStatus(
        id=record.generation,
        state=record.state.value,
        order=record.order,
        traffic=asked.traffic.get(record.generation, 0),
        images=dict(record.images),
        wanted=fleet.servers,
        running=fleet.running,
        whole=fleet.whole,
        leaving=fleet.leaving,
        servers=tuple(
            ServerStatus(name=one.server, healthy=one.ok, detail=one.detail, in_group=one.serving)
            for one in asked.health.get(record.generation, ())
        ),
        commit=record.commit,
        verified=record.verified,
        left_at=0 if record.state is State.LIVE else record.left_at,
    )


def _list_drift(
    place: Place, target: Target, asked: Asked, plan: Plan | None
) -> tuple[DriftStatus, ...]:
    found = target.fleets.find_drift(place.scope)
    unbalanced = (
        drift
        for record in asked.there
        for drift in find_unbalanced(record, asked.health.get(record.generation, ()))
    )
    changed = list_drift(asked.known, asked.ledger, asked.fleets, asked.traffic, found, plan)
    return (*changed, *unbalanced)


def _plan(
    stack: Opened, known: Mapping[str, ServiceLedger]
) -> tuple[StackPlan | None, tuple[str, ...]]:
    """Return what an update would do; an error becomes a note."""
    try:
        return plan_stack(stack.root, stack.settings, stack.place, stack.target, known), ()
    except ImmutableError as error:
        return None, (f"what the source would change is not known: {error.what}", *error.facts)


def _find_plan(planned: StackPlan | None, name: str) -> Plan | None:
    return planned.plans.get(name) if planned else None


def _describe_sources(planned: StackPlan | None) -> Mapping[str, SourceStatus]:
    if planned is None:
        return {}
    return {
        service.name: SourceStatus(
            move=service.move,
            desired=service.desired.id,
            words=word_move(service),
            why=service.why,
        )
        for service in preview_services(planned, {}, {})
    }
