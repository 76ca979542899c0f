"""Measurements that need no server."""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from immutable_bench.table import Measured, Place, measurement
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.errors import ImmutableError

SETTLED = 2.5
"""Seconds after which a file's digest is remembered: see `identity/cache.py`."""


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


@measurement("hashing", "10,000 files of 100 MB: under 1 s cold, under 0.3 s again")
def measure_hashing(place: Place) -> Measured:
    """Time the hashing of a made-up source, twice."""
    del place
    with ProcessPoolExecutor(max_workers=1) as pool:  # its memory is not the next measurement's
        cold, again = pool.submit(_hash_twice).result()
    good = cold < 1 and again < 0.3  # noqa: PLR2004 - the goal
    return Measured(f"{cold:.2f} s cold, {again:.2f} s again", good)


def _hash_twice() -> tuple[float, float]:
    from immutable_servers.identity.files import read_manifest  # noqa: PLC0415 - this one only

    def hash_once(folder: Path) -> float:
        began = time.monotonic()
        read_manifest(folder)
        return time.monotonic() - began

    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        _write_files(Path(folder), 10_000, 10_000)
        time.sleep(SETTLED)
        return hash_once(Path(folder)), hash_once(Path(folder))


def _write_files(folder: Path, count: int, size: int) -> None:
    source = random.Random(0)  # noqa: S311 - content, not a secret
    for number in range(count):
        file = folder / f"{number % 100:02}" / f"{number}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(source.randbytes(size))
