"""When a generation that failed under traffic may get some again, and fleets are let go."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from immutable_servers.contract.front import Front
from immutable_servers.contract.values import Route
from immutable_servers.traffic import resource
from immutable_servers.traffic.resource import has_failed

STRICT, LAX = {"weight": 10, "max_error_rate": 0.01}, {"weight": 10, "max_error_rate": 0.5}
TRIED = {"live": "aaaaaaaa", "tried": "bbbbbbbb", "tried_canary": STRICT, "canary": None}


@pytest.mark.parametrize(
    ("olds", "news", "failed"),
    [
        (TRIED, {"generation": "bbbbbbbb", "canary": STRICT}, True),
        (TRIED, {"generation": "bbbbbbbb", "canary": LAX}, False),
        # A run for another generation came in between, without a canary of its own.
        (TRIED, {"generation": "bbbbbbbb", "canary": None}, False),
        (TRIED, {"generation": "cccccccc", "canary": STRICT}, False),
        ({**TRIED, "live": "bbbbbbbb"}, {"generation": "bbbbbbbb", "canary": STRICT}, False),
        # An early program kept the last run's settings alone.
        (
            {"live": "aaaaaaaa", "tried": "bbbbbbbb", "canary": STRICT},
            {"generation": "bbbbbbbb", "canary": STRICT},
            True,
        ),
    ],
)
def test_what_failed_is_tried_again_by_other_settings(
    olds: dict[str, Any], news: dict[str, Any], *, failed: bool
) -> None:
    """The settings of its own trial count, and not those of the last run."""
    assert has_failed(olds, news) is failed


@pytest.mark.parametrize(
    ("wish", "fault", "released"),
    [("bbbbbbbb", "", 1), ("bbbbbbbb", "as a canary of 10 %: errors", 0), ("", "", 1)],
)
def test_fleets_are_let_go_unless_traffic_just_came_back(
    monkeypatch: pytest.MonkeyPatch, wish: str, fault: str, released: int
) -> None:
    """After a trial that failed who serves again was idle; a run that moves nothing lets go."""
    site, scopes = MagicMock(), list[Any]()
    site.target.balancer.find_live.return_value = "aaaaaaaa"
    site.target.balancer.release.side_effect = scopes.append
    monkeypatch.setattr(resource, "move_traffic", lambda *_words: fault)
    front = Front(Route("web", 8080), "/healthz", 1.0).to_plain()
    resource._point(site, {"live": "aaaaaaaa"}, {"generation": wish, "front": front})
    assert scopes == [site.scope] * released


@pytest.mark.parametrize("generation", ["", "aaaaaaaa"])
def test_what_is_not_let_go_yet_is_something_to_do(generation: str) -> None:
    """A run that was killed before left it, whether its candidate passes now or not."""
    site, olds = MagicMock(), {"live": "aaaaaaaa"}
    balancer = site.target.balancer
    balancer.find_live.return_value, balancer.is_pointing.return_value = "aaaaaaaa", True
    for is_released, found in ((True, ()), (False, ("live",))):
        balancer.is_released.return_value = is_released
        provider = resource.TrafficProvider()
        assert provider._find_drift(site, olds, {"generation": generation}) == found
