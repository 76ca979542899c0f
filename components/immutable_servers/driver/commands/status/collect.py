"""Collects a stack's status from its ledger and its target; changes nothing."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Health
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
from immutable_servers.driver.opened import Opened
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.known import KnownService, ask_service
from immutable_servers.planning.service import Plan
from immutable_servers.planning.stack import StackPlan, plan_stack
from immutable_servers.targets.place import Place

AT_ONCE = 8
Answered = Mapping[str, Sequence[Health]]
"""What the servers answered, by generation."""


def collect(
    stack: Opened, outputs: Mapping[str, Any], verdicts: Mapping[str, Mapping[str, str]]
) -> StackStatus:
    """Return the status of a stack.

    Args:
        stack: The stack.
        outputs: Of its last run.
        verdicts: What the state says of checks that passed, by the generation's name.

    Raises:
        ImmutableError: Ledger or target cannot be read.
    """
    place, target = stack.place, stack.target
    target.ask_once()
    exported = parse_ledgers(outputs.get(OUTPUT))
    places = {name: _find_place(place.of(name), ledger) for name, ledger in exported.items()}
    known = {
        name: ask_service(places[name].scope, target, ledger) for name, ledger in exported.items()
    }
    planned, notes = _plan(stack, exported)
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
                generations=tuple(
                    _describe(one, health, record, verdicts.get(f"{name}-{record.generation}", {}))
                    for record in one.existing
                ),
                drift=_list_drift(places[name], target, one, health, _find_plan(planned, name)),
                source=sources.get(name),
            )
            for name, one in known.items()
            for health in [ask_health(places[name], target, one)]
        ),
        images=list_images(target.images, known, planned, now),
        locks=() if stack.remembered else list_locks(stack.root, stack.settings, target, now),
        notes=notes,
    )


def _find_place(place: Place, ledger: ServiceLedger) -> Place:
    """Return where a service's servers are: after a rename of the stack, under its earlier name."""
    return replace(place, scope=ledger.place.find_scope(place.scope)) if ledger.place else place


def ask_health(place: Place, target: Target, service: KnownService) -> Answered:
    """Ask the servers of a service for their health: what each answered, by generation.

    Raises:
        ImmutableError: The target cannot be asked.
    """
    there = [r for r in service.existing if not service.fleets[r.generation].leaving]

    def ask(record: Record) -> Sequence[Health]:
        return target.fleets.find_health(place.at(record.generation).scope)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(ask, there)
        return {record.generation: found for record, found in zip(there, answers, strict=True)}


def _describe(
    service: KnownService, health: Answered, record: Record, verdict: Mapping[str, str]
) -> GenerationStatus:
    fleet = service.fleets[record.generation]
    return GenerationStatus(
        id=record.generation,
        state=record.state.value,
        order=record.order,
        traffic=service.traffic.get(record.generation, 0),
        images=dict(record.images),
        wanted=fleet.servers,
        running=fleet.running,
        whole=fleet.whole,
        leaving=fleet.leaving,
        servers=tuple(
            ServerStatus(name=one.server, healthy=one.ok, detail=one.detail, in_group=one.serving)
            for one in health.get(record.generation, ())
        ),
        commit=record.commit,
        verified=record.verified or dict(verdict),
        left_at=0 if record.state is State.LIVE else record.left_at,
    )


def _list_drift(
    place: Place, target: Target, service: KnownService, health: Answered, plan: Plan | None
) -> tuple[DriftStatus, ...]:
    unbalanced = (
        drift
        for record in service.existing
        for drift in find_unbalanced(record, health.get(record.generation, ()))
    )
    return (*list_drift(service, target.fleets.find_drift(place.scope), plan), *unbalanced)


def _plan(
    stack: Opened, exported: Mapping[str, ServiceLedger]
) -> tuple[StackPlan | None, tuple[str, ...]]:
    """Return what an update would do; an error becomes a note."""
    try:
        return plan_stack(stack.root, stack.settings, stack.place, stack.target, exported), ()
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
