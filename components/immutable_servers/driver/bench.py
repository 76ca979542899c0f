"""`bench`: measurements by name, each beside its goal. A slow one is reported, never an error."""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.engine import run_engine
from immutable_servers.driver.project import CHECKOUT, PROJECT_FILE, read_values
from immutable_servers.driver.reporter import Reporter
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import list_parts
from immutable_servers.driver.stack import load_stack
from immutable_servers.errors import ImmutableError, SettingsError


@dataclass(frozen=True)
class Place:
    """What a measurement is run on."""

    root: Path
    stack: str


@dataclass(frozen=True)
class Measured:
    """One line of the table.

    Attributes:
        value: With its unit.
        good: The goal is met; None where there is nothing to compare.
    """

    value: str
    good: bool | None = None


@dataclass(frozen=True)
class Measurement:
    """A named measurement and its goal in words."""

    name: str
    goal: str
    measure: Callable[[Place], Measured]


SETTLED = 2.5
"""Seconds after which a file's digest is remembered: see `identity/cache.py`."""
MEASUREMENTS: dict[str, Measurement] = {}
"""By name, in the order of registration."""
Measure = Callable[[Place], Measured]


def measurement(name: str, goal: str) -> Callable[[Measure], Measure]:
    """Register a function as a measurement."""

    def register(measure: Measure) -> Measure:
        MEASUREMENTS[name] = Measurement(name, goal, measure)
        return measure

    return register


def run_bench(root: Path, stack: str, *, only: str, yes: bool) -> int:
    """Run all measurements, or the one named, and print the table.

    Raises:
        SettingsError: There is no measurement of this name.
    """
    chosen = _choose(only)
    target = str(read_values(root, stack).get("target", ""))
    install_missing(list_parts(target, acts=True), yes=yes)
    rows: list[Sequence[str]] = []
    for item in chosen:
        console.say(f"measuring {item.name}")
        rows.append((item.name, item.goal, *_measure(item, Place(root, stack))))
    console.show_table("", ("what", "goal", "measured", "met"), rows)
    return 0


def _choose(only: str) -> Sequence[Measurement]:
    if not only:
        return list(MEASUREMENTS.values())
    if only not in MEASUREMENTS:
        near = get_close_matches(only, MEASUREMENTS, n=1)
        raise SettingsError(
            f"There is no measurement {only!r}",
            facts=[f"Known: {', '.join(MEASUREMENTS)}"],
            todo=f"Did you mean {near[0]}?" if near else "",
        )
    return [MEASUREMENTS[only]]


def _measure(item: Measurement, place: Place) -> tuple[str, str]:
    try:
        measured = item.measure(place)
    except ImmutableError as error:
        return (error.what, "-")
    return (measured.value, {True: "yes", False: "no", None: ""}[measured.good])


def time_command(words: Sequence[str], folder: Path) -> float:
    """Return the seconds that a command takes: the best of three.

    Raises:
        ImmutableError: It fails.
    """
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ImmutableError(f"{words[0]} failed", facts=done.stderr.splitlines()[-5:])
        best = min(best, time.monotonic() - began)
    return best


@measurement("help", "under 0.4 s")
def measure_help(place: Place) -> Measured:
    """Time the driver's `--help`, without the launcher."""
    took = time_command([sys.executable, "-m", "immutable_servers.driver", "--help"], place.root)
    return Measured(f"{took:.2f} s", took < 0.4)  # noqa: PLR2004 - the goal


@measurement("second-start", "under 0.5 s")
def measure_second_start(place: Place) -> Measured:
    """Time the launcher with nothing to set up."""
    took = time_command([str(CHECKOUT / "immutable"), "--version"], place.root)
    return Measured(f"{took:.2f} s", took < 0.5)  # noqa: PLR2004 - the goal


@measurement("up-nothing", "under 4 s, and under 3 times an empty program")
def measure_up_nothing(place: Place) -> Measured:
    """Time an `up` with nothing to do beside an empty program on the same engine.

    The stack has to be up: nothing of it is changed.
    """
    empty = _time_empty_program()
    reporter = Reporter(lambda _line: None)
    began = time.monotonic()
    stack = load_stack(place.root, place.stack)
    ended = run_engine(stack, ["up", "--yes", "--skip-preview", "--expect-no-changes"], reporter)
    took = time.monotonic() - began
    if ended.code:
        raise ImmutableError(f"The stack {place.stack} is not up, or something is to be done")
    good = took < 4 and took < 3 * empty  # noqa: PLR2004 - the goal
    return Measured(f"{took:.2f} s, {took / empty:.1f} times {empty:.2f} s", good)


def _time_empty_program() -> float:
    """Return the seconds of an `up` of a program that declares nothing, its second run."""
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        root = Path(folder)
        options = f"{{virtualenv: {sys.prefix}}}"
        runtime = f"{{name: python, options: {options}}}"
        (root / PROJECT_FILE).write_text(f"name: empty\nruntime: {runtime}\n")
        (root / "__main__.py").write_text("")
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")
        stack = load_stack(root, "dev")
        took = 0.0
        for _ in range(2):
            began = time.monotonic()
            ended = run_engine(
                stack, ["up", "--yes", "--skip-preview"], Reporter(lambda _line: None)
            )
            took = time.monotonic() - began
            if ended.code:
                raise ImmutableError("An empty program failed", facts=ended.told)
    return took


@measurement("hashing", "10,000 files of 100 MB: under 1 s cold, under 0.3 s again")
def measure_hashing(place: Place) -> Measured:
    """Time the hashing of a made-up source, twice."""
    del place
    from immutable_servers.identity.files import read_manifest  # noqa: PLC0415 - this one only

    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        _write_files(Path(folder), 10_000, 10_000)
        time.sleep(SETTLED)
        times = []
        for _ in range(2):
            began = time.monotonic()
            read_manifest(Path(folder))
            times.append(time.monotonic() - began)
    cold, again = times
    good = cold < 1 and again < 0.3  # noqa: PLR2004 - the goal
    return Measured(f"{cold:.2f} s cold, {again:.2f} s again", good)


def _write_files(folder: Path, count: int, size: int) -> None:
    source = random.Random(0)  # noqa: S311 - content, not a secret
    for number in range(count):
        file = folder / f"{number % 100:02}" / f"{number}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(source.randbytes(size))
