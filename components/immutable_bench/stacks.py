"""Measurements on a scratch stack of the project's own application."""

import sys
import tempfile
import time
from pathlib import Path

from immutable_bench.client import count_early, measure_load
from immutable_bench.runs import FEW, RATE
from immutable_bench.scratch import make_environment
from immutable_bench.table import Measured, Place, measurement
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.run import run_engine
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError
from immutable_servers.system import places

MEGABYTE = 1_000_000


@measurement("up-nothing", "under 4 s, and under 3 times an empty program")
def measure_up_nothing(place: Place) -> Measured:
    """Time an `up` with nothing to do beside an empty program on the same engine."""
    empty, took = _time_empty_program(), place.runs.nothing.seconds
    good = took < 4 and took < 3 * empty  # noqa: PLR2004 - the goal
    return Measured(f"{took:.2f} s, {took / empty:.1f} times {empty:.2f} s", good)


def _time_empty_program() -> float:
    """Return the seconds of an `up` of a program that declares nothing, its second run."""
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        root = Path(folder)
        runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
        (root / places.PROJECT_FILE).write_text(f"name: empty\nruntime: {runtime}\n")
        (root / "__main__.py").write_text("")
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")
        stack = Stack(root, "dev", make_environment(root), own=True)
        took = 0.0
        for _ in range(2):
            began = time.monotonic()
            reporter = Reporter()
            ended = run_engine(stack, ["up", "--yes", "--skip-preview"], reporter)
            took = time.monotonic() - began
            if ended.code:
                raise ImmutableError("An empty program failed", facts=ended.output)
    return took


@measurement("preview-change", "under 4 s")
def measure_preview(place: Place) -> Measured:
    """Time a preview after a change of the app."""
    took = place.runs.preview.seconds
    return Measured(f"{took:.2f} s", took < 4)  # noqa: PLR2004 - the goal


@measurement("preview-own", "within 1 s of the engine's own preview")
def measure_own_preview(place: Place) -> Measured:
    """Time `./immutable preview` of that change beside the engine's preview in it."""
    took, engine = place.runs.own_preview
    return Measured(f"{took:.2f} s, {took - engine:+.2f} s on {engine:.2f} s", took - engine <= 1)


@measurement("status", "under 2 s")
def measure_status(place: Place) -> Measured:
    """Time `./immutable status` while servers serve."""
    took = place.runs.status
    return Measured(f"{took:.2f} s", took < 2)  # noqa: PLR2004 - the goal


@measurement("app-change", "within 1.25 times the sum of its parts alone, and under 120 s")
def measure_app_change(place: Place) -> Measured:
    """Time an app change until traffic has moved to two servers.

    Its parts alone: the bake, beside which nothing runs, and boot and verification of one server,
    as the first run had them.
    """
    changed, first = place.runs.changed, place.runs.first
    parts = (changed.phase("bake"), first.phase("launch"), first.phase("verify"))
    took, alone = changed.until_traffic, sum(parts)
    bake, boot, checks = parts
    words = f"bake {bake:.1f} s, boot {boot:.1f} s, checks {checks:.1f} s"
    good = took < 120 and took <= 1.25 * alone  # noqa: PLR2004 - the goal
    return Measured(f"{took:.1f} s, {took / alone:.2f} times {alone:.1f} s ({words})", good)


@measurement("two-servers", "launched within 1.5 times the boot of one")
def measure_two_servers(place: Place) -> Measured:
    """Compare the launch of two servers with that of one."""
    two, one = place.runs.changed.phase("launch"), place.runs.first.phase("launch")
    return Measured(f"{two:.1f} s, {two / one:.2f} times {one:.1f} s", two <= 1.5 * one)


@measurement(
    "cutover",
    f"at {RATE} requests/s from the verification's end on: 0 failed, 0 from an unverified server",
)
def measure_cutover(place: Place) -> Measured:
    """Count what clients were answered while a new generation took the traffic."""
    old = place.runs.changed.reporter.outputs["services"][place.runs.scratch.service]["live"]
    moved = place.runs.moved
    reporter, answers = moved.timing.reporter, moved.answers
    new = reporter.outputs["services"][place.runs.scratch.service]["live"]
    traffic, _ = reporter.spans.get("traffic", (0.0, 0.0))
    for answer in answers:
        if not answer.ok:
            console.say(f"  {answer.at - traffic:+.1f} s from the move of traffic: {answer.why}")
    _, verified = reporter.spans["verify"]
    early = count_early(answers, old, new, verified)
    load, failed = measure_load(answers, moved.full), sum(not answer.ok for answer in answers)
    words = (
        f"{failed} failed and {early} unverified of {len(answers)}, longest gap {load.gap:.2f} s"
        f" and 99 % within {load.latency:.2f} s at {load.rate:.0f}/s of {RATE}"
    )
    return Measured(words, not failed and not early and load.has_reached(RATE))


@measurement(
    "rollback",
    f"to a standby: traffic moved within 5 s of the command, 0 failed requests at {FEW}/s",
)
def measure_rollback(place: Place) -> Measured:
    """Time a rollback from the command until the standby answers; its servers are not made anew."""
    found = place.runs.rolled_back
    words = f"{found.seconds:.2f} s, {found.failed} of {len(found.answers)} requests failed"
    return Measured(words, found.seconds < 5 and not found.failed)  # noqa: PLR2004 - the goal


@measurement("memory", "of the run beside the machines: under 400 MB")
def measure_memory(place: Place) -> Measured:
    """Report the most that an update with a bake, a boot and a verification took."""
    memory = place.runs.memory
    for program, size in memory.parts.items():
        console.say(f"  {size / MEGABYTE:.0f} MB {program}")
    most = memory.most / MEGABYTE
    return Measured(f"{most:.0f} MB", most < 400)  # noqa: PLR2004 - the goal
