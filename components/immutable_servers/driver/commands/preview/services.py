"""Describes for each service which generation comes, why, and what that takes."""

from collections.abc import Iterator, Mapping, Sequence

from immutable_servers.contract.values import Fleet
from immutable_servers.driver.commands.preview.models import (
    GenerationPreview,
    Move,
    PastUpdate,
    ServerCounts,
    ServicePreview,
)
from immutable_servers.driver.commands.preview.money import count_money
from immutable_servers.ledger.records import Record
from immutable_servers.planning.service import Plan
from immutable_servers.planning.stack import StackPlan

DAY = 24
HOUR = 3600
SILENT_FIELDS = ("env", "overrides")
"""Parts of a launch spec whose keys are shown, and whose values are not."""


def preview_services(
    planned: StackPlan,
    addresses: Mapping[str, str],
    past: Mapping[str, tuple[PastUpdate, ...]],
) -> tuple[ServicePreview, ...]:
    """Return all services of the settings."""
    return tuple(
        _preview_service(planned, name, addresses.get(name, ""), past.get(name, ()))
        for name in planned.plans
    )


def _preview_service(
    planned: StackPlan, name: str, address: str, took: tuple[PastUpdate, ...]
) -> ServicePreview:
    plan, known = planned.plans[name], planned.known[name]
    live, fleets = known.live, known.fleets
    launched, retired = _count_changes(plan, fleets)
    now = sum(fleet.servers for fleet in fleets.values())
    servers = ServerCounts(now=now, during=now + launched, after=now + launched - retired)
    return ServicePreview(
        name=name,
        address=address,
        move=_find_move(plan, live, fleets),
        live=_describe(live, fleets, 0) if live else None,
        desired=_describe(plan.desired, {} if plan.fresh else fleets, plan.servers),
        why=tuple(_explain(plan, live, fleets)),
        standbys=tuple(_describe(record, fleets, 0) for record in plan.others),
        going=tuple(_describe(record, fleets, 0) for record in plan.going),
        launched=launched,
        retired=retired,
        servers=servers,
        server_hours_per_day_now=DAY * servers.now,
        server_hours_per_day_after=DAY * servers.after,
        server_hours_of_update=round(took[0].seconds * launched / HOUR, 2) if took else None,
        money=count_money(
            planned.settings.prices,
            plan,
            fleets,
            launched,
            retired - sum(_count(fleets, record) for record in plan.going),
            took[0].seconds if took else None,
        ),
        took=took,
        pin=known.ledger.pin,
        notes=plan.notes,
    )


def _find_move(plan: Plan, live: Record | None, fleets: Mapping[str, Fleet]) -> Move:
    desired = plan.desired
    if plan.fresh:
        return "replace" if live else "first"
    if desired.fault and live and desired.generation != live.generation:
        return "failed"
    if live is None or desired.generation != live.generation:
        return "traffic" if desired.verified else "verify"
    if desired.checks != plan.checks or not desired.verified:
        return "verify"
    return "nothing" if _count(fleets, desired) == plan.servers else "resize"


def _count(fleets: Mapping[str, Fleet], record: Record) -> int:
    fleet = fleets.get(record.generation)
    return fleet.servers if fleet else 0


def _count_changes(plan: Plan, fleets: Mapping[str, Fleet]) -> tuple[int, int]:
    """Return how many servers are launched and how many are retired."""
    there = 0 if plan.fresh else _count(fleets, plan.desired)
    going = sum(_count(fleets, record) for record in plan.going)
    return max(0, plan.servers - there), going + max(0, there - plan.servers)


def _describe(record: Record, fleets: Mapping[str, Fleet], wished: int) -> GenerationPreview:
    fleet = fleets.get(record.generation)
    return GenerationPreview(
        id=record.generation,
        state=str(record.state),
        order=record.order,
        images=dict(record.images),
        servers=fleet.servers if fleet else wished,
        commit=record.commit,
    )


def _explain(plan: Plan, live: Record | None, fleets: Mapping[str, Fleet]) -> Iterator[str]:
    """Yield what differs between what serves and what shall."""
    desired = plan.desired
    if live is None:
        return
    for image, version in desired.images.items():
        old = live.images.get(image)
        if old != version:
            yield f"image {image} {old or 'none'} → {version}"
    yield from _compare_launch(live.launch, desired.launch)
    if live.shape != desired.shape:
        yield "the program or the target's settings give servers another shape"
    if desired.checks != plan.checks and not plan.fresh:
        yield "the checks changed"
    there = _count(fleets, desired)
    if not plan.fresh and there != plan.servers:
        yield f"servers {there} → {plan.servers}"


def _compare_launch(old: Mapping[str, object], new: Mapping[str, object]) -> Sequence[str]:
    lines: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key in SILENT_FIELDS and isinstance(before, Mapping) and isinstance(after, Mapping):
            names = sorted({*before, *after})
            lines += [f"{key}.{n} changed" for n in names if before.get(n) != after.get(n)]
        else:
            lines.append(f"{key} {before} → {after}")
    return lines
