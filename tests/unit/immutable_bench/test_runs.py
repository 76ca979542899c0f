"""What the runs on the scratch stack say."""

from pathlib import Path

import pytest

from immutable_bench.client import (
    Answer,
)
from immutable_bench.runs import Rollback, Runs, Timing, find_address
from immutable_bench.scratch import Scratch
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.run import Ended
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.phases import Timeline
from immutable_servers.errors import ImmutableError


def test_traffic_has_moved_before_the_run_ends() -> None:
    """A phase lasts from its first start to its last end; without traffic the run's end counts."""
    reporter = Reporter(
        timeline=Timeline(steps={("bake", "app"): [(11, 15)], ("traffic", "web"): [(30, 31)]})
    )
    timing = Timing(40, 10, reporter)
    assert timing.phase("bake") == 4
    assert timing.phase("launch") == 0
    assert timing.until_traffic == 21
    assert Timing(40, 10, Reporter()).until_traffic == 40


def test_what_builds_on_a_failed_run_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure is the answer to every measurement that needs the run."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    settings = {"services": {"web": {"image": "app"}}}
    scratch = Scratch(Stack(tmp_path, "bench-1", {}, own=True), settings, "web")
    tried: list[object] = []

    def fail(_stack: Stack, words: object, _reporter: Reporter) -> Ended:
        tried.append(words)
        return Ended(1, ["no luck"])

    monkeypatch.setattr("immutable_bench.runs.run_engine", fail)
    runs = Runs(scratch)
    for _ in range(2):
        with pytest.raises(ImmutableError, match="no luck"):
            _ = runs.changed
    assert len(tried) == 1


def test_the_address_is_an_output_of_the_run() -> None:
    """An output without it is an error, and not a request to nowhere."""
    assert find_address({"services": {"web": {"address": "http://x"}}}, "web") == "http://x"
    wrong: list[object] = [{}, {"services": {}}, {"services": {"web": {}}}, None]
    for outputs in wrong:
        with pytest.raises(ImmutableError, match="no address"):
            find_address(outputs, "web")


def test_a_rollback_is_timed_until_the_standby_answers() -> None:
    """A standby that never answered took for ever; failures are counted."""
    answers = [
        Answer(10, 11, generation="live"),
        Answer(12, 12.5, generation="standby"),
        Answer(11, 12, ok=False),
        Answer(12, 13, generation="standby"),
    ]
    found = Rollback(10, "standby", answers)
    assert (found.seconds, found.failed) == (2.5, 1)
    assert Rollback(10, "other", answers).seconds == float("inf")
