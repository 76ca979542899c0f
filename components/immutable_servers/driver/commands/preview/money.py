"""Computes the price of servers, where the stack's settings hold prices."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Fleet
from immutable_servers.driver.commands.preview.models import Money
from immutable_servers.ledger.records import Record
from immutable_servers.planning.service import Plan
from immutable_servers.settings.models import PricesSettings

DAY = 24
HOUR = 3600


def count_money(
    prices: PricesSettings,
    plan: Plan,
    fleets: Mapping[str, Fleet],
    launched: int,
    shrunk: int,
    seconds: float | None,
) -> Money | None:
    """Return what a service's servers cost; None where a price is missing.

    Args:
        prices: By size, for one server and one hour.
        plan: What the update does to the service.
        fleets: What exists now.
        launched: Servers that are launched.
        shrunk: Servers that a generation which stays gives up.
        seconds: How long the update takes, when that is known.
    """
    sizes = {_find_size(fleet.record) for fleet in fleets.values()} | {_find_size(plan.desired)}
    if not sizes <= set(prices.sizes):
        return None
    new = prices.sizes[_find_size(plan.desired)]
    by_fleet = {
        generation: fleet.servers * prices.sizes[_find_size(fleet.record)]
        for generation, fleet in fleets.items()
    }
    now = sum(by_fleet.values())
    gone = sum(by_fleet.get(record.generation, 0.0) for record in plan.going)
    return Money(
        currency=prices.currency,
        per_day_now=round(DAY * now, 4),
        per_day_after=round(DAY * (now - gone + (launched - shrunk) * new), 4),
        of_update=None if seconds is None else round(launched * new * seconds / HOUR, 4),
    )


def _find_size(record: Record | Mapping[str, Any]) -> str:
    launch = record.launch if isinstance(record, Record) else record.get("launch", {})
    return str(launch.get("size", ""))
