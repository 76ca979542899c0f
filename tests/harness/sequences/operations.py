"""One operation: what is changed, what a run is asked, and what goes wrong in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from harness.engine.faults import MOMENTS
from harness.sequences.changes import CHANGES, KINDS

WHATS = ("refuse", "kill engine", "kill provider", "interrupt engine")
FAULTS = (
    *(f"{moment}: {what}" for moment in MOMENTS for what in WHATS),
    "before bake: disk full",
    "half launch: disk full",
    "before traffic: disk full",
)
WORST = (
    "half launch: kill engine",
    "before login: kill engine",
    "after seal: kill engine",
    "after traffic: kill engine",
    "after traffic: refuse",
    "half delete: kill engine",
)
"""Faults that leave the state the farthest behind what is true."""
COMMON = (
    "revert",
    "say two",
    "say three",
    "break",
    "mend",
    "another env",
    "medium",
    "keep none",
    "keep one",
    "lose an idle server",
    "log in as printed",
    "log in by the key",
)
"""Changes that are half of all: what decides which generation is wanted, and which may stay."""
RARE = tuple(sorted(CHANGES))
HALF = 0.5
PATTERNS = (
    *(f"**{kind}::*" for kind in KINDS),
    *(f"**{kind}::web-*" for kind in ("Access", "InstantFleet", "Verification", "Seal")),
    "**Image::app",
)
FLAGS: Sequence[tuple[str, ...]] = (
    ("--continue-on-error",),
    ("--refresh",),
    *((flag, pattern) for flag in ("--target", "--exclude", "--replace") for pattern in PATTERNS),
    ("--exclude", "**Verification::web-*", "--exclude", "**Seal::web-*"),
    ("--exclude", "**Access::web-*", "--exclude", "**Verification::web-*"),
)
ASKED = ("roll back", "roll back further", "resume", "resume now", "replace", "retire")
HOUR = 3600
WAITS = (2 * HOUR, 25 * HOUR, 40 * 24 * HOUR, 400 * 24 * HOUR, -365 * 24 * HOUR)
"""Seconds by which a clock is moved."""
MOST_STEPS = 25
"""The engine is killed at one of the first steps of a run."""


@dataclass(frozen=True)
class Operation:
    """What is done, and one run after it.

    Attributes:
        changes: Names of `CHANGES`, done in this order.
        ask: One of `ASKED`, or nothing.
        fault: `MOMENT: WHAT` of `harness.engine.faults`, or nothing.
        flags: Given to `pulumi up`.
        wait: Seconds by which the clock is moved first. Only the simulation has such a clock.
        kill_at: The step at which the engine is killed: before its work, or with `.5` after it.
            Only the simulation counts steps.
    """

    changes: tuple[str, ...] = ()
    ask: str = ""
    fault: str = ""
    flags: tuple[str, ...] = ()
    wait: int = 0
    kill_at: float = -1

    @property
    def troubled(self) -> bool:
        """Return whether the run may end in another way than a plain one."""
        return bool((self.fault and not self.is_slow) or self.flags or self.kill_at >= 0)

    @property
    def is_slow(self) -> bool:
        """Return whether nothing goes wrong in the run but that something takes an hour."""
        return self.fault.endswith("take an hour")

    def render(self) -> str:
        """Return the Python expression without what is as usual."""
        usual = Operation()
        said = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if getattr(self, item.name) != getattr(usual, item.name)
        ]
        return f"Operation({', '.join(said)})"

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Operation":
        """Make an operation from its fields as JSON has them."""
        lists = {name: tuple(plain[name]) for name in ("changes", "flags")}
        return cls(**{**plain, **lists})


def draw_chain(seed: int, lengths: tuple[int, int], *, simulated: bool) -> list[Operation]:
    """Return the operations of a seed; `lengths` are the least and the most of them."""
    chance = Random(seed)  # noqa: S311 - the same for a seed, always
    return [draw(chance, simulated=simulated) for _ in range(chance.randint(*lengths))]


def draw(chance: Random, *, simulated: bool) -> Operation:
    """Return a random operation."""
    changes = [
        chance.choice(COMMON if chance.random() < HALF else RARE)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))
    ]
    chosen: dict[str, Any] = {"changes": tuple(dict.fromkeys(changes))}
    if chance.random() < 0.15:
        chosen["ask"] = chance.choice(ASKED)
    trouble = chance.random()
    if trouble < 0.3:
        chosen["fault"] = chance.choice(WORST if chance.random() < HALF else FAULTS)
    elif trouble < 0.45 and simulated:
        chosen["kill_at"] = chance.randrange(2 * MOST_STEPS) / 2
    if chance.random() < 0.25:
        chosen["flags"] = chance.choice(FLAGS)
    if simulated and chance.random() < 0.15:
        chosen["wait"] = chance.choice(WAITS)
    return Operation(**chosen)
