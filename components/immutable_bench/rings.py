"""`test`: the linters and the rings of tests, from fast to real, with one summary."""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.driver.engine.environment import PASSPHRASES, compute_environment
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.state.backend import BACKEND
from immutable_servers.system import places

LINTERS: Mapping[str, Sequence[str]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
}
RINGS = ("unit", "program", "engine", "clouds", "local")
SERIAL = ("program", "local")
"""Rings whose tests run one after the other: few, or each with the whole machine."""
TARGETS = ("local", "aws")
"""Whose tools the rings use."""
FAST = ("unit", "program", "engine")
"""What `--fast` runs."""
CORE: Mapping[str, Sequence[str]] = {"engine": ("-m", "core")}
"""What `--fast` takes of a ring that is longer than that."""
MOST_WORKERS = 4
"""Most processes that run the tests of one ring in parallel."""
WAITING = "unit"
"""The ring whose tests wait as much as they compute: two processes for each core."""


@dataclass(frozen=True)
class Result:
    """How one linter or ring ended."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    note: str = ""


def run_rings(root: Path, more: Sequence[str], *, fast: bool, yes: bool) -> int:
    """Run everything and print the summary; `more` goes to pytest.

    With `fast` only the rings of `FAST` are run, and of those of `CORE` the core alone. The linters
    run beside the first rings.
    """
    install_missing(list_tools(fast=fast), yes=yes)
    environment = make_environment(root)
    with ThreadPoolExecutor(max_workers=1) as beside:
        linters = [
            beside.submit(_run_linter, root, name, words, environment)
            for name, words in LINTERS.items()
        ]
        rings = [
            run_ring(root, ring, [*render_choice(ring, fast=fast), *more], environment)
            for ring in (FAST if fast else RINGS)
        ]
        return summarize([*(linter.result() for linter in linters), *rings])


def list_tools(*, fast: bool) -> list[Part]:
    """Return what the rings need on the machine, each part once."""
    parts = {part.name: part for target in TARGETS for part in list_parts(target, acts=not fast)}
    return [*parts.values()]


def render_choice(ring: str, *, fast: bool) -> list[str]:
    """Return pytest's arguments for a ring: how many processes, and which of its tests."""
    cores = os.cpu_count() or 1
    workers = min(MOST_WORKERS, 2 * cores if ring == WAITING else cores)
    beside = (
        ["-n", str(workers), "--dist", "worksteal"] if ring not in SERIAL and workers > 1 else []
    )
    return [*beside, *(CORE.get(ring, ()) if fast else ())]


def make_environment(root: Path) -> dict[str, str]:
    """Return the environment of the tests: our tools, and no user's state."""
    made = {**os.environ, **compute_environment(root)}
    return {key: value for key, value in made.items() if key not in (BACKEND, *PASSPHRASES)}


def _run_linter(
    root: Path, name: str, words: Sequence[str], environment: Mapping[str, str]
) -> Result:
    """Run one linter; what it prints is shown in one piece, as others print meanwhile."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    console.say(f"== {name}\n{done.stdout.rstrip()}")
    failed = int(done.returncode != 0)
    return Result(name, 1 - failed, failed, 0, time.monotonic() - began)


def run_ring(root: Path, ring: str, more: Sequence[str], environment: Mapping[str, str]) -> Result:
    """Run one folder of tests; a folder that is missing or collects nothing has failed."""
    console.say(f"== tests/{ring}")
    began = time.monotonic()
    report = places.reports_dir(root) / f"test-{ring}.xml"
    report.unlink(missing_ok=True)
    words = ["-m", "pytest", f"tests/{ring}", f"--junitxml={report}", *more]
    code = 0
    if (root / "tests" / ring).is_dir():
        done = subprocess.run(
            [sys.executable, *words], cwd=root, env=dict(environment), check=False
        )
        code = done.returncode
        note = "" if code in (0, 1) else f"pytest ended with {code}"
    else:
        code, note = 1, "the folder is missing"
    return read_report(ring, report, code, time.monotonic() - began, note)


def read_report(ring: str, report: Path, code: int, seconds: float, note: str) -> Result:
    """Return a ring's sums from its JUnit file; it fails when the file does not say why it did."""
    passed = failed = skipped = 0
    if report.exists():
        for suite in ET.parse(report).iter("testsuite"):  # noqa: S314 - pytest just wrote it
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
            passed += int(suite.get("tests", 0))
        passed = max(0, passed - failed - skipped)
    if not passed and not failed:
        note = note or "no test ran"
    if (code or note) and not failed:
        failed = 1
    return Result(f"tests/{ring}", passed, failed, skipped, seconds, note)


def summarize(results: Sequence[Result]) -> int:
    """Print each result and, alone on the last line, the sums of the tests."""
    rows = [
        (
            "failed" if result.failed else "ok",
            result.name,
            f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped",
            render_seconds(result.seconds),
            result.note,
        )
        for result in results
    ]
    console.show_table("", ("", "what", "result", "time", "note"), rows)
    tests = [result for result in results if result.name not in LINTERS or result.failed]
    passed = sum(result.passed for result in tests)
    failed = sum(result.failed for result in tests)
    skipped = sum(result.skipped for result in tests)
    console.show(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)
