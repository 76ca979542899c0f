"""Collects a stack's preview: our own plan and the engine's, made at the same time."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.driver.commands.preview.history import find_past_updates
from immutable_servers.driver.commands.preview.images import preview_images
from immutable_servers.driver.commands.preview.models import (
    EnginePreview,
    EngineStep,
    Problem,
    StackPreview,
    make_problem,
)
from immutable_servers.driver.commands.preview.services import preview_services
from immutable_servers.driver.engine.errors import clean, find_error
from immutable_servers.driver.engine.outputs import read_state_outputs
from immutable_servers.driver.engine.reporter import STACK_TYPE, Event, Reporter
from immutable_servers.driver.engine.run import Ended, run_engine
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.opened import Opened
from immutable_servers.errors import ImmutableError
from immutable_servers.identity.commits import find_unfetched, is_committed
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.planning.requests import read_request
from immutable_servers.planning.stack import StackPlan, plan_stack
from immutable_servers.planning.wish import make_routes
from immutable_servers.system.git import read_commit

SILENT = ("same", "read", "read-replacement", "replace", "refresh")
"""Operations that are not listed as steps: a `replace` is also a create and a delete."""
NO_LEDGER = "the ledger cannot be read offline: what serves now is not known"
UNASKED = "offline: the ledger's word is taken for what exists and serves"


@dataclass
class PreviewReporter(Reporter):
    """Collects the steps and warnings of the engine's preview."""

    steps: list[EngineStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take one event."""
        super().take(event)
        if "resourcePreEvent" in event:
            self._remember(event["resourcePreEvent"]["metadata"])
        diagnostic = event.get("diagnosticEvent", {})
        if diagnostic.get("severity") == "warning":
            self.warnings.append(" ".join(str(diagnostic.get("message", "")).split()))

    def _remember(self, metadata: Mapping[str, Any]) -> None:
        if metadata["op"] in SILENT or metadata["type"] == STACK_TYPE:
            return
        name = str(metadata["urn"]).rpartition("::")[2]
        kind = str(metadata["type"]).rpartition(":")[2].rpartition("/")[2]
        self.steps.append(EngineStep(operation=metadata["op"], type=kind, name=name))


@dataclass(frozen=True)
class Collected:
    """A preview with the exit code of its error, 0 without one."""

    preview: StackPreview
    code: int


def collect(stack: Opened, *, offline: bool) -> Collected:
    """Preview one stack; errors become problems of the preview."""
    if offline:
        return _finish(stack, _attempt(_plan_offline, stack), None)
    with ThreadPoolExecutor(1) as beside:
        planning = beside.submit(_attempt, _plan_online, stack)
        engine = _run_engine(stack.engine)
        return _finish(stack, planning.result(), engine)


@dataclass(frozen=True)
class _Engine:
    """The engine's preview."""

    ended: Ended
    reporter: PreviewReporter
    seconds: float


def _run_engine(stack: Stack) -> _Engine:
    began = time.monotonic()
    reporter = PreviewReporter(preview=True)
    ended = run_engine(stack, ["preview"], reporter)
    return _Engine(ended, reporter, time.monotonic() - began)


def _attempt(
    plan: Callable[[Opened], StackPreview], stack: Opened
) -> StackPreview | ImmutableError:
    try:
        return plan(stack)
    except ImmutableError as error:
        return error


def _plan_online(stack: Opened) -> StackPreview:
    settings, place, target = stack.settings, stack.place, stack.target
    target.ask_once()
    request = read_request()
    exported = stack.read_ledgers()
    planned = plan_stack(stack.root, settings, place, target, exported, request=request)
    routes = {route.service: route for route in make_routes(settings)}
    addresses = {
        service: target.balancer.find_address(routes[service], place.of(service).scope)
        for service in settings.services
    }
    return _describe(stack, planned, target, addresses, ())


def _plan_offline(stack: Opened) -> StackPreview:
    settings, place, target = stack.settings, stack.place, stack.target
    outputs = read_state_outputs(stack.root, stack.name)
    exported = parse_ledgers((outputs or {}).get(OUTPUT))
    planned = plan_stack(stack.root, settings, place, target, exported, offline=True)
    inputs = [version.inputs for version in planned.versions.values()]
    notes = (UNASKED if outputs is not None else NO_LEDGER, *find_unfetched(stack.root, inputs))
    described = _describe(stack, planned, None, {}, notes)
    return described if outputs is not None else _forget(described)


def _forget(preview: StackPreview) -> StackPreview:
    """Remove statements on what serves: an unreadable ledger is never taken for an empty one."""
    return _with(
        preview,
        images=tuple(image.model_copy(update={"why": ()}) for image in preview.images),
        services=tuple(s.model_copy(update={"move": "unknown"}) for s in preview.services),
    )


def _describe(
    stack: Opened,
    planned: StackPlan,
    target: Target | None,
    addresses: Mapping[str, str],
    notes: tuple[str, ...],
) -> StackPreview:
    """Return our part; without a target it is marked as offline."""
    inputs = [version.inputs for version in planned.versions.values()]
    return StackPreview(
        stack=stack.name,
        project=stack.scope.project,
        target=stack.settings.target,
        offline=target is None,
        commit=planned.commit,
        clean=is_committed(stack.root, inputs),
        images=preview_images(stack.root, planned, target.images if target else None),
        services=preview_services(planned, addresses, find_past_updates(stack.root, stack.name)),
        notes=notes,
    )


def _finish(
    stack: Opened, plan: StackPreview | ImmutableError, engine: _Engine | None
) -> Collected:
    """Join both parts; the engine's error is reported where both have one."""
    preview = plan if isinstance(plan, StackPreview) else _make_empty(stack, engine)
    if engine is None:
        if isinstance(plan, StackPreview):
            return Collected(plan, 0)
        return Collected(_with(preview, problems=(make_problem(plan),)), plan.exit_code)
    if engine.ended.code:
        problems = find_problems(engine.ended, engine.reporter)
        return Collected(_with(preview, problems=problems), engine.ended.code)
    part = EnginePreview(
        changes=engine.reporter.changes,
        steps=tuple(engine.reporter.steps),
        warnings=tuple(engine.reporter.warnings),
        seconds=round(engine.seconds, 1),
    )
    notes = preview.notes
    if isinstance(plan, ImmutableError):
        notes = (*notes, f"what changes cannot be explained: {plan.what}")
    return Collected(_with(preview, engine=part, notes=notes), 0)


def _make_empty(stack: Opened, engine: _Engine | None) -> StackPreview:
    return StackPreview(
        stack=stack.name,
        project=stack.scope.project,
        offline=engine is None,
        commit=read_commit(stack.root),
        clean=False,
    )


def _with(preview: StackPreview, **changes: Any) -> StackPreview:  # noqa: ANN401 - its fields
    return preview.model_copy(update=changes)


def find_problems(ended: Ended, reporter: Reporter) -> tuple[Problem, ...]:
    """Return the errors of a run of the engine, ours in their parts."""
    texts: Sequence[str] = reporter.errors or ["\n".join(ended.output)]
    return tuple(_read_problem(text, ended.code) for text in texts)


def _read_problem(text: str, code: int) -> Problem:
    found = find_error(text)
    if found:
        return make_problem(found)
    first, *rest = clean(text).splitlines() or ["The engine failed and did not say why"]
    return Problem(kind="ImmutableError", what=first, facts=tuple(rest), exit_code=code)
