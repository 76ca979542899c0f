"""Puts a stack's preview together: our own plan beside the engine's, each without the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
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
from immutable_servers.driver.engine.outputs import read_outputs, read_state_outputs
from immutable_servers.driver.engine.reporter import STACK_TYPE, Event, Reporter
from immutable_servers.driver.engine.run import Ended, run_engine
from immutable_servers.driver.engine.stack import Stack, load_stack
from immutable_servers.driver.project.files import read_project, read_values
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.planning.requests import read_request
from immutable_servers.planning.stack import StackPlan, plan_stack
from immutable_servers.planning.wish import make_routes
from immutable_servers.settings import Settings, load_settings
from immutable_servers.system.git import read_commit
from immutable_servers.targets.place import Place

SILENT = ("same", "read", "read-replacement", "replace", "refresh")
"""Operations that are no step of their own: `replace` is its create and delete."""
NO_LEDGER = "the ledger cannot be read offline: what serves now is not known"
UNASKED = "offline: the ledger's word is taken for what exists and serves"


@dataclass
class PreviewReporter(Reporter):
    """Takes the events of the engine's preview as data; what it says is what it warns of."""

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
class Told:
    """A preview with the exit code of its error, 0 without one."""

    preview: StackPreview
    code: int


def collect(root: Path, name: str, *, offline: bool) -> Told:
    """Preview one stack; errors become problems of the preview.

    Raises:
        SettingsError: There is no stack of this name.
    """
    values = read_values(root, name)
    if offline:
        plan = _attempt(lambda: _plan_offline(root, name, values))
        return _finish(root, name, plan, None)
    stack = load_stack(root, name)
    with ThreadPoolExecutor(1) as beside:
        planning = beside.submit(_attempt, lambda: _plan_online(root, name, values))
        engine = _run_engine(stack)
        return _finish(root, name, planning.result(), engine)


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


def _attempt(plan: Callable[[], StackPreview]) -> StackPreview | ImmutableError:
    try:
        return plan()
    except ImmutableError as error:
        return error


def _plan_online(root: Path, name: str, values: Mapping[str, Any]) -> StackPreview:
    settings = load_settings(values, root)
    place = _make_place(root, name, settings)
    target = place.load()
    request = read_request()
    exported = parse_ledgers(read_outputs(root, name).get(OUTPUT))
    planned = plan_stack(root, settings, place, target, exported, request=request)
    routes = {route.service: route for route in make_routes(settings)}
    addresses = {
        service: target.balancer.find_address(routes[service], place.of(service).scope)
        for service in settings.services
    }
    return _describe(root, place, planned, target, addresses, ())


def _plan_offline(root: Path, name: str, values: Mapping[str, Any]) -> StackPreview:
    settings = load_settings(values, root)
    place = _make_place(root, name, settings)
    outputs = read_state_outputs(root, name)
    exported = parse_ledgers((outputs or {}).get(OUTPUT))
    planned = plan_stack(root, settings, place, place.load(), exported, offline=True)
    if outputs is None:
        return _forget(_describe(root, place, planned, None, {}, (NO_LEDGER,)))
    return _describe(root, place, planned, None, {}, (UNASKED,))


def _forget(preview: StackPreview) -> StackPreview:
    """Take back what was said of what serves: an unreadable ledger is never an empty one."""
    return _with(
        preview,
        images=tuple(image.model_copy(update={"why": ()}) for image in preview.images),
        services=tuple(s.model_copy(update={"move": "unknown"}) for s in preview.services),
    )


def _make_place(root: Path, name: str, settings: Settings) -> Place:
    scope = Scope(str(read_project(root).get("name", "")), name)
    return Place(settings.target, settings.target_settings, scope)


def _describe(
    root: Path,
    place: Place,
    planned: StackPlan,
    target: Target | None,
    addresses: Mapping[str, str],
    notes: tuple[str, ...],
) -> StackPreview:
    """Return our part; without a target it says that nothing was asked."""
    return StackPreview(
        stack=place.scope.stack,
        project=place.scope.project,
        target=place.target,
        offline=target is None,
        commit=planned.commit.id,
        clean=planned.commit.clean,
        images=preview_images(root, planned, target.images if target else None),
        services=preview_services(planned, addresses, find_past_updates(root, place.scope.stack)),
        notes=notes,
    )


def _finish(
    root: Path, name: str, plan: StackPreview | ImmutableError, engine: _Engine | None
) -> Told:
    """Put both parts together; the engine's error stands where both have one."""
    preview = plan if isinstance(plan, StackPreview) else _make_empty(root, name, engine)
    if engine is None:
        if isinstance(plan, StackPreview):
            return Told(plan, 0)
        return Told(_with(preview, problems=(make_problem(plan),)), plan.exit_code)
    if engine.ended.code:
        problems = find_problems(engine.ended, engine.reporter)
        return Told(_with(preview, problems=problems), engine.ended.code)
    part = EnginePreview(
        changes=engine.reporter.changes,
        steps=tuple(engine.reporter.steps),
        warnings=tuple(engine.reporter.warnings),
        seconds=round(engine.seconds, 1),
    )
    notes = preview.notes
    if isinstance(plan, ImmutableError):
        notes = (*notes, f"what changes cannot be explained: {plan.what}")
    return Told(_with(preview, engine=part, notes=notes), 0)


def _make_empty(root: Path, name: str, engine: _Engine | None) -> StackPreview:
    commit = read_commit(root)
    return StackPreview(
        stack=name,
        project=str(read_project(root).get("name", "")),
        offline=engine is None,
        commit=commit.id,
        clean=commit.clean,
    )


def _with(preview: StackPreview, **changes: Any) -> StackPreview:  # noqa: ANN401 - its fields
    return preview.model_copy(update=changes)


def find_problems(ended: Ended, reporter: Reporter) -> tuple[Problem, ...]:
    """Return the errors of a run of the engine, ours in their parts."""
    texts: Sequence[str] = reporter.errors or ["\n".join(ended.told)]
    return tuple(_read_problem(text, ended.code) for text in texts)


def _read_problem(text: str, code: int) -> Problem:
    found = find_error(text)
    if found:
        return make_problem(found)
    first, *rest = clean(text).splitlines() or ["The engine failed and did not say why"]
    return Problem(kind="ImmutableError", what=first, facts=tuple(rest), exit_code=code)
