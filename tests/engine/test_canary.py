"""A canary, and the watch after it, inside Traffic's one update, on the real engine."""

import json
from typing import Any

import pytest

from harness.engine.project import Outcome, Project

CANARY = {"weight": 60, "watch": "1s", "max_error_rate": 0.1, "min_requests": 5}
"""More than half: who served before is not who has the most."""
GOOD, BAD, FEW = ({"requests": count, "errors": bad} for count, bad in ((100, 1), (99, 50), (3, 0)))


@pytest.fixture
def canary(serving: Project) -> Project:
    """Return a serving project with a new source, whose traffic will try a canary."""
    serving.services["web"]["canary"] = CANARY
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    return serving


def answer(project: Project, share: dict[str, int], after: dict[str, int] | None = None) -> None:
    """Let the candidate answer this much while it is watched with a share, and with all."""
    file = project.world / "answers.json"
    file.write_text(json.dumps({"share": share, "after": after or {}}))


def find_weights(done: Outcome) -> list[list[int]]:
    """Return the weights of each change of traffic."""
    return [sorted(e["weights"].values()) for e in done.events if e["event"] == "traffic"]


def assert_failed(project: Project, done: Outcome, old: str, words: str) -> dict[str, Any]:
    """Assert that a run said so, and that all of the old is as it was; return the candidate."""
    done.assert_failed("TrafficError", words)
    assert (project.live(), done.count("delete")) == (old, 0)
    assert project.states() == {
        old: "live",
        **dict.fromkeys(find_others(project, old), "candidate"),
    }
    (candidate,) = find_others(project, old)
    record: dict[str, Any] = project.ledger()["generations"][candidate]
    assert words in record["fault"]
    return record


def find_others(project: Project, old: str) -> list[str]:
    """Return the generations beside one."""
    return [generation for generation in project.fleets() if generation != old]


def test_a_good_canary_gets_all_and_keeps_it(canary: Project) -> None:
    """First its share, then everything, watched too; the way back to what served is no trial."""
    canary.services["web"]["canary"] = {**CANARY, "watch_after": "1s"}
    canary.write_settings()
    answer(canary, GOOD, GOOD)
    old = canary.live()
    done = canary.up()
    assert done.code == 0, done.text
    assert find_weights(done) == [[40, 60], [100]]
    assert canary.states() == {old: "standby", canary.live(): "live"}
    canary.ask_three_questions()
    canary.put_back("app/server.txt")
    answer(canary, {})
    back = canary.up()
    assert (back.code, find_weights(back)) == (0, [[100]]), back.text
    assert canary.live() == old


@pytest.mark.parametrize(
    ("share", "words"),
    [(BAD, "50 of 99 answers"), (FEW, "only 3 requests"), ({}, "no numbers")],
)
def test_a_bad_canary_gives_all_back(canary: Project, share: dict[str, int], words: str) -> None:
    """Errors, too few requests, and no numbers each fail the run; a revert costs nothing."""
    answer(canary, share)
    old = canary.live()
    done = canary.up()
    assert find_weights(done) == [[40, 60], [100]]
    assert_failed(canary, done, old, words)
    canary.put_back("app/server.txt")
    done = canary.up()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("traffic"), done.count("delete")) == (0, 0, 1)
    canary.ask_three_questions()


def test_what_failed_with_all_of_the_traffic_goes_back_and_is_not_tried_again(
    canary: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next runs fail without a request for it, until it is replaced by hand and is good."""
    canary.services["web"]["canary"] = {**CANARY, "watch_after": "1s"}
    canary.write_settings()
    answer(canary, GOOD, BAD)
    old = canary.live()
    done = canary.up()
    assert find_weights(done) == [[40, 60], [100], [100]]
    record = assert_failed(canary, done, old, "with all of the traffic: 50 of 99 answers")
    answer(canary, GOOD, GOOD)
    again = canary.up()
    assert (again.count("traffic"), again.count("boot")) == (0, 0)
    assert assert_failed(canary, again, old, "50 of 99 answers") == record
    asked = canary.drive("rollback", "dev", "--to", record["generation"], "--why", "it was fine")
    asked.assert_failed("failed under traffic (", "50 of 99 answers", "replace dev web")
    assert asked.count("traffic") == 0
    with monkeypatch.context() as patch:
        patch.setenv("IMMUTABLE_REQUEST", json.dumps({"again": {"web": "it was the database"}}))
        replaced = canary.up()
    assert replaced.code == 0, replaced.text
    assert find_weights(replaced) == [[40, 60], [100]]
    assert canary.states() == {
        old: "standby",
        record["generation"]: "retired",
        canary.live(): "live",
    }
    canary.ask_three_questions()


def test_without_a_whole_standby_the_traffic_stays_and_the_run_says_so(canary: Project) -> None:
    """What has lost its servers gets no traffic; the next run watches the live one again."""
    canary.services["web"]["canary"] = {**CANARY, "watch_after": "1s"}
    canary.write_settings()
    answer(canary, GOOD, BAD)
    old = canary.live()
    canary.set_fault("in watch: kill engine")
    assert canary.up().code != 0
    canary.pulumi("cancel", "--yes", "-s", "dev")
    (canary.world / "fleets" / f"web-{old}" / "server-0").unlink()
    done = canary.up()
    done.assert_failed("TrafficError", "no whole generation is left to go back to")
    assert (done.count("traffic"), done.count("delete")) == (0, 0)
    new = canary.live()
    assert new != old
    assert canary.states()[new] == "live"
    answer(canary, GOOD, GOOD)
    (canary.world / "begun").unlink()
    assert canary.up().code == 0
    assert canary.live() == new
    canary.ask_three_questions()


@pytest.mark.parametrize("source", ["same", "reverted", "third"])
def test_after_a_kill_in_a_canary_the_shares_end_first(canary: Project, source: str) -> None:
    """Whatever the source, all goes back to who served, before a verification, or a delete."""
    answer(canary, GOOD)
    old = canary.live()
    canary.set_fault("after traffic: kill engine")
    assert canary.up().code != 0
    canary.pulumi("cancel", "--yes", "-s", "dev")
    if source == "reverted":
        canary.put_back("app/server.txt")
    if source == "third":
        canary.edit("app/server.txt", "three")
    done = canary.up()
    assert done.code == 0, done.text
    rest = [] if source == "reverted" else [[40, 60], [100]]
    assert find_weights(done) == [[100], *rest]
    first = next(e for e in done.events if e["event"] in ("traffic", "seal", "delete"))
    assert first.get("weights") == {old: 100}
    assert (canary.live() == old) == (source == "reverted")
    canary.ask_three_questions()
