"""Which standbys stay, which go, and why."""

from dataclasses import replace
from typing import cast

import pytest

from harness.builders import NOW, know, make_record, make_wish, with_pin
from immutable_servers.contract.target import Target
from immutable_servers.driver.commands.known import KnownStack
from immutable_servers.driver.commands.retire import find_due
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.service import decide
from immutable_servers.planning.standbys import find_lost, sort_standbys
from immutable_servers.planning.wish import Policy, make_policy
from immutable_servers.service import find_left_at
from immutable_servers.settings import ServiceSettings, Settings
from immutable_servers.targets import find_target_class

RECORDS = [
    make_record("live", "v4", 4),
    make_record("new", "v3", 3, left_at=int(NOW) - 60),
    make_record("mid", "v2", 2, left_at=int(NOW) - 600),
    make_record("old", "v1", 1),
]


@pytest.mark.parametrize(
    ("policy", "kept", "due", "beyond"),
    [
        (Policy(3), ["new", "mid", "old"], [], []),
        (Policy(1), ["new"], [], ["mid", "old"]),
        (Policy(3, 300), ["new", "old"], ["mid"], []),
        (Policy(1, 300), ["new"], ["mid"], ["old"]),
        (Policy(3, 0), ["old"], ["new", "mid"], []),
    ],
)
def test_the_newest_stay_for_their_time(
    policy: Policy, kept: list[str], due: list[str], beyond: list[str]
) -> None:
    """Time counts from when traffic left; of whom nobody knows that, it does not run."""
    found = sort_standbys(know(RECORDS, "live"), policy, NOW, "live")
    assert [record.generation for record in found.kept] == kept
    assert list(found.due) == due
    assert [record.generation for record in found.beyond] == beyond


def test_what_served_last_stays_before_what_was_launched_last() -> None:
    """After a revert the generation that was reverted to served last; it is the way back."""
    reverted = make_record("reverted", "v2", 2, left_at=int(NOW) - 600)
    good = make_record("good", "v1", 1, left_at=int(NOW) - 60)
    known = know([make_record("live", "v3", 3), reverted, good], "live")
    found = sort_standbys(known, Policy(1), NOW, "live")
    assert [record.generation for record in found.kept] == ["good"]
    assert [record.generation for record in known.earlier] == ["good", "reverted"]


def test_a_live_generation_that_is_about_to_be_left_takes_a_place() -> None:
    """Once the traffic has moved it stands by, the newest of all."""
    found = sort_standbys(know(RECORDS, "live"), Policy(2), NOW, "candidate")
    assert [record.generation for record in found.kept] == ["new"]


def test_what_is_not_whole_or_gone_is_told() -> None:
    """Both are dropped; of a fleet that is gone only the last run's ledger knows."""
    known = know(RECORDS, "live", broken=("mid",), gone=("old",))
    found = sort_standbys(known, Policy(3), NOW, "live")
    assert found.due == {"mid": "is not whole: it is dropped"}
    assert find_lost(known) == ["standby old has no fleet any more: it is dropped"]


@pytest.mark.parametrize(("said", "days"), [(None, 1), ("36h", 1.5), ("0s", 0)])
def test_a_target_whose_servers_cost_money_keeps_them_a_day(said: str | None, days: float) -> None:
    """Where the settings say nothing the target does: 24 hours, on `local` without a limit."""
    service = {"image": "app", "servers": 1, "port": 80, "route": {"port": 80}, "keep_for": said}
    settings = ServiceSettings.model_validate(service)
    local = cast("Target", find_target_class("local"))
    assert make_policy(settings, cast("Target", Target)).keep_for == days * 86400
    assert make_policy(settings, local).keep_for == (days * 86400 if said else None)


def test_the_time_begins_when_traffic_leaves_or_when_that_is_first_seen() -> None:
    """What a run that died did not write down, the next one begins to count."""
    old, live = make_record("old", "v1", 1), make_record("live", "v2", 2, left_at=7)
    known = know([old, live], "live")
    records = known.ledger.generations
    plan = decide(make_wish("v2"), known)
    assert find_left_at(plan, records["old"], "live") == NOW
    assert find_left_at(plan, records["live"], "live") == 0
    assert find_left_at(plan, replace(records["old"], left_at=9), "live") == 9
    back = decide(make_wish("v1"), known)
    assert find_left_at(back, records["live"], "old") == NOW
    assert find_left_at(back, records["live"], "live") == 0


def test_a_standby_that_a_pin_names_is_not_due() -> None:
    """The rollback to it failed: the next run tries again, and finds its servers."""
    records = [make_record("old", "v0", 1), make_record("live", "v1", 2)]
    known = know(records, "live")
    web = ServiceSettings.model_construct(keep=0, keep_for=None)
    settings = Settings.model_construct(services={"web": web})
    for pin, due in ((None, ["old"]), (Pinned("old"), [])):
        service = with_pin(known, pin)
        stack = KnownStack("dev", settings, find_target_class("local")({}), {"web": service})
        assert list(find_due(stack, service, NOW)) == due
