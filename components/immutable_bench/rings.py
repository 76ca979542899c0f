"""`test`: what is the user's, the linters and the rings from fast to real, with one summary."""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from immutable_bench.application import (
    Result,
    check_application,
    check_servers,
    list_targets_in_use,
)
from immutable_servers.driver.engine.environment import PASSPHRASES, compute_environment
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.state.backend import BACKEND
from immutable_servers.system import places

RINGS = ("unit", "program", "simulation", "engine", "clouds", "local")
OURS = (
    *("__main__.py", "components", "toolchain", "docs/examples", "tests/conftest.py"),
    *(f"tests/{name}" for name in ("harness", *RINGS)),
)
"""The product's own Python files: what is in `app`, `packer` and `tests/servers` is the user's."""
LINTERS: Mapping[str, Sequence[str]] = {
    "ruff check": ("-m", "ruff", "check"),
    "ruff format": ("-m", "ruff", "format", "--check"),
    "mypy": ("-m", "mypy"),
}
SERIAL = ("program", "simulation", "local")
"""Rings whose tests run one after the other: few, or each takes the whole machine."""
CLOUDY = ("aws", "digitalocean", "gcp")
"""Targets whose tests are folders of the ring `CLOUDS`."""
EVERY_TARGET = ("local", *CLOUDY)
"""Whose tools the product's own CI has; others have those of the stack files and of `local`."""
CLOUDS = "clouds"
FAST = ("unit", "program", "simulation", "engine")
"""What `--fast` runs."""
CORE = ("simulation", "engine")
"""Rings that are longer than that: `--fast` takes their core."""
LEAVING_NOTHING = (sys.executable, "-m", "immutable_bench.leave_nothing", sys.executable)
MOST_WORKERS = 4
"""Most processes that run the tests of one ring in parallel."""
MOST_AGAIN = 5
"""So many failed tests of a ring of `STAGED` are run again: more are no accident."""
STAGED = ("unit", "engine", "clouds", "local")
"""Rings whose tests share the processor with processes, clouds and machines that they start."""
WAITING = ("unit", "clouds")
"""Rings whose tests wait as much as they compute: two processes for each core."""


def run_rings(
    root: Path, more: Sequence[str], *, fast: bool = False, product: bool = False, yes: bool = False
) -> int:
    """Check what is the user's, run the product's linters and rings, and print the summary.

    Args:
        root: The checkout.
        more: Words for pytest; with them only the rings are run.
        fast: Only the rings of `FAST`, of those of `CORE` the core alone, and no server.
        product: As the product's own CI: with every target's ring and the tests of the sample,
            which prove of the sample what a server of the user's own would prove again.
        yes: Install without asking.
    """
    used = EVERY_TARGET if product else tuple(dict.fromkeys(("local", *list_targets_in_use(root))))
    install_missing(list_tools(used, fast=fast), yes=yes)
    environment = make_environment(root)
    os.environ.update(compute_environment(root))  # Previews' own checks find their tools by it.
    own = [] if more else [*check_application(root)]
    rings = [ring for ring in (FAST if fast else RINGS) if ring != CLOUDS or {*used} & {*CLOUDY}]
    with ThreadPoolExecutor(max_workers=1) as beside:
        linters = [
            beside.submit(_run_linter, root, name, words, environment)
            for name, words in list_linters(product=product).items()
        ]
        results = [
            run_ring(
                root,
                ring,
                [
                    *render_choice(ring, fast=fast, product=product),
                    *leave_out(ring, used),
                    *more,
                ],
                environment,
            )
            for ring in rings
        ]
        results = [*(linter.result() for linter in linters), *results]
    servers = [] if more or fast or product else check_servers(root, yes=yes)
    return summarize([*own, *results, *servers])


def list_linters(*, product: bool) -> dict[str, Sequence[str]]:
    """Return the linters' command lines: over the product's own files, or all with `product`."""
    return {name: (*words, *(() if product else OURS)) for name, words in LINTERS.items()}


def list_tools(targets: Sequence[str], *, fast: bool) -> list[Part]:
    """Return what the rings need on the machine for these targets, each part once."""
    parts = {part.name: part for target in targets for part in list_parts(target, acts=not fast)}
    return [*parts.values()]


def render_choice(ring: str, *, fast: bool, product: bool = False) -> list[str]:
    """Return pytest's arguments for a ring: how many processes, and which of its tests."""
    cores = os.cpu_count() or 1
    workers = min(MOST_WORKERS, 2 * cores if ring in WAITING else cores)
    beside = (
        ["-n", str(workers), "--dist", "worksteal"] if ring not in SERIAL and workers > 1 else []
    )
    marks = ["core"] if fast and ring in CORE else []
    marks += [] if product else ["not sample"]
    return [*beside, *(["-m", " and ".join(marks)] if marks else [])]


def leave_out(ring: str, used: Sequence[str]) -> list[str]:
    """Return pytest's arguments against the tests of clouds whose tools are not here."""
    unused = [name for name in CLOUDY if name not in used]
    return [f"--ignore=tests/{ring}/{name}" for name in unused] if ring == CLOUDS else []


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
    """Run one folder of tests; a folder that is missing or collects nothing has failed.

    In a ring of `STAGED` what fails is run again, one by one when no other test runs: a fault of
    the product fails again, and what passes then is counted beside the sums.
    """
    console.say(f"== tests/{ring}")
    if not (root / "tests" / ring).is_dir():
        return Result(f"tests/{ring}", 0, 1, 0, 0.0, "the folder is missing")
    began = time.monotonic()
    result = _run_tests(root, ring, f"test-{ring}", more, environment)
    if ring not in STAGED or result.note or not 0 < result.failed <= MOST_AGAIN:
        return result
    console.say(f"== tests/{ring}: what failed, again")
    alone = [*more, "-n0", "--last-failed", "--last-failed-no-failures=none"]
    again = _run_tests(root, ring, f"test-{ring}-again", alone, environment)
    return replace(
        again,
        passed=result.passed + again.passed,
        skipped=result.skipped,
        seconds=time.monotonic() - began,
        note=again.note or (f"{again.passed} passed when run again" if again.passed else ""),
    )


def _run_tests(
    root: Path, ring: str, name: str, more: Sequence[str], environment: Mapping[str, str]
) -> Result:
    """Run a ring's tests, and return their sums from a report of this name."""
    began, reports = time.monotonic(), places.reports_dir(root)
    report = reports / f"{name}.xml"
    report.unlink(missing_ok=True)
    words = ["-m", "pytest", f"tests/{ring}", f"--junitxml={report}", *more]
    code = _run([*LEAVING_NOTHING, *words], root, environment)
    note = "" if code in (0, 1) else f"pytest ended with {code}"
    return read_report(ring, report, code, time.monotonic() - began, note)


def _run(words: Sequence[str], root: Path, environment: Mapping[str, str]) -> int:
    """Run a command and return its exit code; Ctrl-C lets it end what it started."""
    with subprocess.Popen(words, cwd=root, env=dict(environment)) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise


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
