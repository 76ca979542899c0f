"""Whose things at a target are: the state that holds the stack, and what it says when it is asked.

Targets keep things of several checkouts and stacks. What is left over, and whose, is decided by
asking the state, never by a name or an age alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Owner:
    """The state that holds a stack, as a target keeps it with the stack's things.

    Attributes:
        backend: URL of the state's backend, without credentials and options; for a reader.
        digest: Tells backends apart.
        organization: As the engine names it.
        checkout: The folder of the last run, for a reader.
    """

    backend: str
    digest: str
    organization: str
    project: str
    stack: str
    checkout: str

    def is_same(self, other: "Owner") -> bool:
        """Tell whether both are one stack of one state."""
        mine = (self.digest, self.organization, self.project, self.stack)
        return mine == (other.digest, other.organization, other.project, other.stack)


@dataclass(frozen=True)
class Holdings:
    """What a state says of a stack, asked now.

    Attributes:
        unasked: Why it could not be asked; empty when it was.
        exists: The state holds the stack.
        names: The names of the stack's resources.
        run: Whether a run changes the stack now.
    """

    unasked: str = ""
    exists: bool = False
    names: frozenset[str] = frozenset()
    run: Literal["none", "under way", "unknown"] = "none"


Ask = Callable[[Owner | None], Holdings]
"""Asks the state of an owner; None is an owner that nobody recorded."""


@dataclass(frozen=True)
class Leftover:
    """Something at a target that no stack owns.

    Attributes:
        kind: What it is, such as `fleet`, `probe`, `machine`.
        name: Its name at the target, unique within its kind.
        why: Why it counts as left over.
        size: Bytes that it takes; 0 where it stores nothing.
        sure: No stack owns it, and it serves nobody. What is not sure is removed only when it is
            named.
    """

    kind: str
    name: str
    why: str
    size: int = 0
    sure: bool = True
