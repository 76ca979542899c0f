"""Refuses a run whose credentials end while it would watch, or wait for, the traffic."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping

from immutable_servers.contract.front import Front
from immutable_servers.errors import SetupError
from immutable_servers.ledger.records import State
from immutable_servers.planning.service import Plan
from immutable_servers.settings import ServiceSettings, Settings
from immutable_servers.settings.durations import render_duration


def refuse_short_credentials(
    settings: Settings, plans: Mapping[str, Plan], fronts: Mapping[str, Front], end: float | None
) -> None:
    """Refuse to begin what certainly ends later than the credentials.

    A call that a canary's end needs would be refused, and the traffic would stay divided.

    Args:
        settings: The stack's.
        plans: What is declared for each service; the services' traffic moves side by side.
        fronts: How each service's own address is asked.
        end: When the credentials end, in seconds since the epoch; None where nobody says.

    Raises:
        SetupError: They end before.
    """
    if end is None:
        return
    late = [
        f"{name} takes at least {render_duration(sum(waits.values()))} once its servers are"
        f" verified: {', '.join(f'{key} {render_duration(waits[key])}' for key in waits)}"
        for name, plan in plans.items()
        for waits in [dict(_find_waits(settings.services[name], plan, fronts[name]))]
        if waits and time.time() + sum(waits.values()) > end
    ]
    if late:
        at, left = dt.datetime.fromtimestamp(end, dt.UTC), max(end - time.time(), 0)
        ends = f"they end at {at:%Y-%m-%dT%H:%M:%SZ}, in {render_duration(left)}"
        raise SetupError(
            "The credentials of this run end before it can",
            facts=[ends, *late, "Nothing was changed"],
            todo="Use credentials that last longer, or write shorter times into the stack file.",
        )


def _find_waits(service: ServiceSettings, plan: Plan, front: Front) -> Iterator[tuple[str, float]]:
    """Yield the settings that a move of the traffic waits for, with their seconds."""
    if plan.desired.state is State.LIVE:
        return
    moves = [one.state is State.LIVE for one in (*plan.others, *plan.going)]
    leaves = [one.state is State.LIVE for one in plan.going]
    canary = service.canary if any(moves) else None
    waits = {
        "canary.watch": canary.watch if canary else 0,
        "canary.watch_after": canary.watch_after if canary else 0,
        "settle": front.settle,
        "drain": service.drain if any(leaves) else 0,
    }
    yield from ((key, seconds) for key, seconds in waits.items() if seconds)
