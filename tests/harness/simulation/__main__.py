"""Plays random sequences in this process and others, and says what fails and how to have it again.

    python -m harness.simulation --sequences 20000 --seed 0
    python -m harness.simulation --trace < chains.json

With `--trace` it reads lists of operations and writes what a client is answered after each, for
the real engine's tests to compare.
"""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from harness.sequences.operations import Operation
from harness.simulation.chains import (
    Failure,
    play,
    play_seed,
    render,
    shrink,
    start,
)
from harness.simulation.deployed import start_from
from harness.simulation.holes import HOLES, open_hole
from harness.simulation.project import SimulatedProject

MOST_FAILURES = 5
"""Failures that are shrunk and shown; the others are counted."""


def main() -> int:
    """Play what the command line says; 1 when something fails."""
    parser = ArgumentParser(prog="python -m harness.simulation")
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="the first chain's")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ledger", default="", help="file with a stack's ledger to begin with")
    parser.add_argument("--hole", choices=HOLES, help="take this part of the gate out")
    parser.add_argument("--trace", action="store_true", help="answer the chains on stdin")
    asked = parser.parse_args()
    if asked.hole:
        start()  # whose first run needs the whole gate
        open_hole(asked.hole)
    if asked.trace:
        json.dump([trace(chain) for chain in json.load(sys.stdin)], sys.stdout)
        return 0
    return play_many(asked.sequences, asked.seed, asked.processes, asked.ledger)


def trace(chain: list[dict[str, object]]) -> list[dict[str, str]]:
    """Return what a client of each service is answered after each operation."""
    operations = [Operation.read(plain) for plain in chain]
    return [dict(player.answers) for player in play(operations, start())]


def play_many(wanted: int, seed: int, processes: int, ledger: str) -> int:
    """Play chains in several processes until there are as many sequences; 1 when some fail."""
    _begin(ledger)  # once, before it is forked
    share = -(-wanted // processes)
    stripes = [
        range(seed + at, seed + at + processes * share, processes) for at in range(processes)
    ]
    with get_context("fork").Pool(processes) as pool:
        found = pool.map(partial(play_stripe, share, ledger), stripes)
    failures = sorted((one for _, some in found for one in some), key=lambda one: one.seed)
    sys.stdout.writelines(_describe(failures, ledger))
    played = sum(count for count, _ in found)
    sys.stdout.write(f"{played} sequences from seed {seed}: {len(failures)} failed\n")
    return int(bool(failures))


def play_stripe(share: int, ledger: str, seeds: range) -> tuple[int, list[Failure]]:
    """Play the chains of some seeds until there are as many sequences."""
    played, failures = 0, []
    for seed in seeds:
        count, failure = play_seed(seed, _begin(ledger))
        played += count
        failures += [failure] if failure else []
        if played >= share:
            break
    return played, failures


@cache
def _begin(ledger: str) -> SimulatedProject:
    """Return the first project: the sample's, or that of somebody's stack."""
    return start_from(json.loads(Path(ledger).read_text())) if ledger else start()


def _describe(failures: list[Failure], ledger: str) -> Iterator[str]:
    """Yield a row for each failure that says something new."""
    known: set[str] = set()
    for failure in failures[:MOST_FAILURES]:
        smallest = shrink(failure, _begin(ledger))
        row = render(smallest)
        if smallest.why not in known:
            yield f"For FOUND in tests/harness/sequences/found.py:\n{row}"
        known.add(smallest.why)


if __name__ == "__main__":
    sys.exit(main())
