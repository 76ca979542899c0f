"""Chooses a few random sequences that play every change, question, fault and flag."""

from collections.abc import Iterable

from harness.sequences.changes import CHANGES
from harness.sequences.operations import ASKED, FAULTS, FLAGS, Operation, draw_chain

EVERYTHING = frozenset({*CHANGES, *ASKED, *FAULTS, *map(" ".join, FLAGS)})
"""What an operation on the real engine can have in it."""
POOL = 5000
"""So many seeds are enough to have each of it."""
MOST = 6
"""Things that nothing else plays, in the first that are taken; then fewer and fewer."""


def choose_seeds(first: int, lengths: tuple[int, int]) -> list[int]:
    """Return seeds, `first` the least of the pool, whose chains play everything, each once or more.

    What is dense is taken first: as much as possible happens together, or after each other.
    """
    seeds = range(first, first + POOL)
    played = {seed: list_played(draw_chain(seed, lengths, simulated=False)) for seed in seeds}
    left, chosen = set(EVERYTHING), set[int]()
    for least in range(MOST, 0, -1):
        for seed, things in played.items():
            if len(things & left) >= least:
                chosen.add(seed)
                left -= things
    assert not left, f"no seed of the pool plays {sorted(left)}"
    return sorted(chosen)


def list_played(chain: Iterable[Operation]) -> set[str]:
    """Return what a chain has of everything."""
    parts = ((*one.changes, one.ask, one.fault, " ".join(one.flags)) for one in chain)
    return {word for words in parts for word in words if word}
