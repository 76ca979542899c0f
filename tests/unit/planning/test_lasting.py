"""A run whose credentials end while it would wait for the traffic is not begun."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.builders import know, make_record, make_wish
from immutable_servers.contract.front import Front
from immutable_servers.contract.values import Route
from immutable_servers.errors import SetupError
from immutable_servers.planning.lasting import refuse_short_credentials
from immutable_servers.planning.service import Plan, decide
from immutable_servers.settings import ServiceSettings, Settings

HOUR = 3600.0
LIVE = know([make_record("live", "v1", 1)], "live")


def ask(plan: Plan, end: float | None, settle: float = 60, **service: Any) -> None:  # noqa: ANN401
    """Ask for one service whose credentials end in some seconds."""
    plain = {"image": "app", "servers": 1, "port": 80, "route": {"port": 80}, **service}
    settings = SimpleNamespace(services={"web": ServiceSettings.model_validate(plain)})
    fronts = {"web": Front(Route("web", 80), "/healthz", settle)}
    at = None if end is None else time.time() + end
    refuse_short_credentials(cast("Settings", settings), {"web": plan}, fronts, at)


def test_a_watch_that_outlasts_the_credentials_is_refused() -> None:
    """With both times and the settings they are from; a minute is what decides."""
    plan = decide(make_wish("v2", keep=0), LIVE)
    canary = {"watch": "30m", "watch_after": "20m"}
    drain = "5m"
    with pytest.raises(SetupError, match="end before it can") as error:
        ask(plan, HOUR - 270, canary=canary, drain=drain)
    first, second, _ = error.value.facts
    assert first.startswith("they end at 20")
    assert second == (
        "web takes at least 56m once its servers are verified: canary.watch 30m,"
        " canary.watch_after 20m, settle 1m, drain 5m"
    )
    ask(plan, HOUR, canary=canary, drain=drain)


def test_a_standby_is_not_drained() -> None:
    """What stays beside the new one is not waited for."""
    plan = decide(make_wish("v2", keep=1), LIVE)
    ask(plan, 120, drain="5m")
    with pytest.raises(SetupError, match="verified: settle 1m"):
        ask(plan, 30, drain="5m")


def test_a_first_generation_is_not_watched() -> None:
    """There is nothing to divide the traffic with."""
    ask(decide(make_wish(), know([], "")), 120, canary={"watch": "30m", "watch_after": "30m"})


def test_without_a_move_nothing_is_waited_for() -> None:
    """A run with nothing to do needs its credentials for a moment."""
    ask(decide(make_wish("v1"), LIVE), 1, canary={"watch": "30m"})


def test_an_end_that_nobody_knows_refuses_nothing() -> None:
    """Most credentials do not say it, or are renewed."""
    ask(decide(make_wish("v2"), LIVE), None, canary={"watch": "30m"})
