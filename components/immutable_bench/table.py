"""The table of measurements: what one is, and how a function becomes one."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from immutable_bench.runs import Runs
from immutable_bench.scratch import start_scratch


@dataclass
class Place:
    """What a measurement is run on.

    Attributes:
        root: The project.
        stack: Whose settings the scratch stack takes.
        ending: Ends the scratch stack, when one was made.
    """

    root: Path
    stack: str
    ending: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def runs(self) -> Runs:
        """The runs on a scratch stack; it is made when first asked for."""
        return Runs(self.ending.enter_context(start_scratch(self.root, self.stack)))


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


MEASUREMENTS: dict[str, Measurement] = {}
"""By name, in the order of registration."""
Measure = Callable[[Place], Measured]


def measurement(name: str, goal: str) -> Callable[[Measure], Measure]:
    """Register a function as a measurement."""

    def register(measure: Measure) -> Measure:
        MEASUREMENTS[name] = Measurement(name, goal, measure)
        return measure

    return register
