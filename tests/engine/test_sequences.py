"""Random sequences of changes and faults on the real engine; the simulated one must say the same.

Those are chosen that together have every change, question, fault and flag in them; those of
`tests/simulation` are 20,000 others. What serves is compared after each operation, so that the
simulation cannot drift from the engine.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.engine.project import Project
from harness.engine.watcher import start_watching
from harness.sequences.cover import choose_seeds
from harness.sequences.found import FOUND
from harness.sequences.operations import Operation, draw_chain
from harness.sequences.player import Player
from harness.simulation.client import trace

SEQUENCES = int(os.environ.get("IMMUTABLE_SEQUENCES", "0"))
"""So many, one seed after the other; without this number those that have everything in them."""
FIRST_SEED = int(os.environ.get("IMMUTABLE_SEED", "0"))
"""CI plays the same sequences every time."""
LENGTHS = (1, 2)
"""Least and most operations of one: the simulation has the long ones."""
SEEDS = [*range(FIRST_SEED, FIRST_SEED + SEQUENCES)] or choose_seeds(FIRST_SEED, LENGTHS)


@pytest.fixture(scope="module")
def first(first_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the project that each sequence begins with a copy of: one server is enough."""
    folder = tmp_path_factory.mktemp("sequences")
    project = first_run.copy_to(folder)
    project.services["web"]["servers"] = 1
    project.write_settings()
    done = project.up()
    assert done.code == 0, done.text
    return project


@pytest.fixture(scope="module")
def simulated() -> dict[int, list[dict[str, str]]]:
    """Return what each seed's operations lead to on the simulated engine."""
    chains = [draw_chain(seed, LENGTHS, simulated=False) for seed in SEEDS]
    return dict(zip(SEEDS, trace(chains), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_sequences(first: Project, simulated: dict[int, list[dict[str, str]]], seed: int) -> None:
    """Clients are served by a whole and verified fleet, whatever happens, and as simulated."""
    assert play(first, draw_chain(seed, LENGTHS, simulated=False)) == simulated[seed]


@pytest.mark.parametrize("name", FOUND)
def test_sequences_that_once_failed(first: Project, name: str) -> None:
    """What the simulation found holds on the engine too."""
    assert play(first, FOUND[name]) == trace([FOUND[name]])[0]


def play(first: Project, operations: Sequence[Operation]) -> list[dict[str, str]]:
    """Play operations on a copy of a project and end it; return the answers after each."""
    answers: list[dict[str, str]] = []
    with TemporaryDirectory(prefix="sequence-") as folder:
        project = first.copy_to(Path(folder))
        with start_watching(project.world) as watcher:
            player = Player(project, watcher.excused.add)
            for operation in operations:
                player.play(operation)
                answers.append(dict(player.answers))
            player.end(servers=lambda name: int(project.services[name]["servers"]))
    return answers
