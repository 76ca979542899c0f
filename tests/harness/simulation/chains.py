"""Plays chains of random operations on the simulated project, each from its seed.

A sequence is what leads from the first state to one operation, and from there to the clean end. So
a chain of twelve operations is twelve sequences: each operation is tried on the state that those
before it made, and played to its end on a copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from harness.sequences.operations import Operation, draw_chain
from harness.sequences.player import Player
from harness.simulation import machine
from harness.simulation.project import SimulatedProject
from immutable_servers.ledger import records

LENGTHS = (8, 16)
"""Least and most operations of a chain."""
SHORT_LEDGER = 4
"""Records that the ledger keeps in each fourth chain: few are soon too many."""


@dataclass(frozen=True)
class Failure:
    """Operations after which something does not hold that must.

    Attributes:
        why: The assertion or the error.
    """

    seed: int
    operations: Sequence[Operation]
    why: str


@cache
def start() -> SimulatedProject:
    """Return the project that each chain begins with: its first generation serves."""
    project = SimulatedProject.start()
    project.services["web"]["servers"] = 1
    done = project.up()
    assert done.code == 0, done.text
    return project


def make_player(first: SimulatedProject) -> Player:
    """Return a player of a copy of a project."""
    project = first.fork()
    machine.use(project)
    return Player(project, project.watch.excused.add)


def end(player: Player, project: SimulatedProject) -> None:
    """Play a copy of a player's project to its end."""
    copy = project.fork()
    machine.use(copy)
    ending = replace(player, project=copy, excuse=copy.watch.excused.add)
    ending.end(servers=lambda name: int(copy.services[name]["servers"]))
    machine.use(project)


def play(operations: Sequence[Operation], first: SimulatedProject) -> Iterator[Player]:
    """Play operations, each to its end too; yield the player after each.

    Raises:
        AssertionError: Something does not hold.
    """
    player = make_player(first)
    for operation in operations:
        player.play(operation)
        end(player, machine.now())
        yield player


def play_seed(seed: int, first: SimulatedProject) -> tuple[int, Failure | None]:
    """Play the chain of a seed; return how many sequences were played, and the failure."""
    operations = draw_chain(seed, LENGTHS, simulated=True)
    found = find_failure(seed, operations, first)
    return len(found.operations if found else operations), found


def find_failure(
    seed: int, operations: Sequence[Operation], first: SimulatedProject
) -> Failure | None:
    """Return the operations up to the one that fails; None when none does."""
    usual, played = records.KEPT_RECORDS, 0
    records.KEPT_RECORDS = SHORT_LEDGER if seed % 4 == 0 else usual
    try:
        for _ in play(operations, first):
            played += 1
    except Exception as error:  # noqa: BLE001 - a traceback is as bad as a failed assertion
        return Failure(seed, operations[: played + 1], f"{type(error).__name__}: {error}")
    finally:
        records.KEPT_RECORDS = usual
    return None


def shrink(failure: Failure, first: SimulatedProject) -> Failure:
    """Return the failure with as few operations, and as little in each, as still fail."""
    for smaller in _make_smaller(failure.operations):
        found = find_failure(failure.seed, smaller, first)
        if found:
            return shrink(found, first)
    return failure


def _make_smaller(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    for at, operation in enumerate(operations):
        before, after = [*operations[:at]], [*operations[at + 1 :]]
        yield [*before, *after]
        for one in _simplify(operation):
            yield [*before, one, *after]


def _simplify(operation: Operation) -> Iterator[Operation]:
    usual = Operation()
    for name in ("ask", "fault", "flags", "wait", "kill_at"):
        if getattr(operation, name) != getattr(usual, name):
            yield replace(operation, **{name: getattr(usual, name)})
    for change in operation.changes:
        yield replace(operation, changes=tuple(c for c in operation.changes if c != change))


def render(failure: Failure) -> str:
    """Return a row of `harness.sequences.found.FOUND` that has the failure again."""
    lines = "".join(f"        {operation.render()},\n" for operation in failure.operations)
    why = "".join(f"    # {line}\n" for line in failure.why.splitlines()[:3])
    return f'{why}    "seed {failure.seed}": (\n{lines}    ),\n'
