"""The role that asks a target whether a stack can be, before anything is made."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import ImmutableError, StoppedError

Status = Literal["ok", "note", "not ok", "not known"]
"""`note` is worth reading and stops nothing; `not known` could not be asked."""
AT_ONCE = 8
"""Checks that ask at the same time."""


@dataclass(frozen=True)
class Finding:
    """A line of `doctor` about a target.

    Attributes:
        what: What was looked at, such as `certificate`.
        found: The facts.
        todo: The way out; empty only where the status is `ok`.
    """

    what: str
    status: Status
    found: str
    todo: str = ""


Check = Callable[[], Iterable[Finding]]


@dataclass(frozen=True)
class ServiceDemand:
    """What one service wants.

    Attributes:
        servers: Of each generation.
        keep: Standbys that run beside the live generation.
    """

    launch: Launch
    servers: int
    keep: int

    @property
    def first(self) -> int:
        """Servers that run while a new generation is verified: the live ones and the candidate."""
        return 2 * self.servers

    @property
    def most(self) -> int:
        """Servers that run at a time at most: with those of the standbys."""
        return (2 + self.keep) * self.servers


@dataclass(frozen=True)
class Demand:
    """What a stack as a whole wants of its target.

    Attributes:
        starts: By image, the lock's entry of what it starts from; empty where there is none.
    """

    scope: Scope
    routes: Sequence[Route]
    services: Mapping[str, ServiceDemand]
    starts: Mapping[str, Mapping[str, Any]]


class Readiness(ABC):
    """What a target can be asked by reading alone."""

    def find_access(self) -> Iterable[Finding]:
        """Yield who we are to the target; with a line that is not ok nothing else is asked."""
        return ()

    @abstractmethod
    def list_checks(self, demand: Demand) -> Mapping[str, Check]:
        """Return the checks by what each looks at, in the order of their lines.

        A check makes nothing, and what it raises becomes its line.
        """

    def find_refused(self, error: ImmutableError) -> str:
        """Return the permission for whose lack the target would not answer; empty for others."""
        del error
        return ""

    def find_readiness(self, demand: Demand) -> Sequence[Finding]:
        """Make all checks, side by side, and return their lines."""
        access = self._ask("credentials", self.find_access)
        if any(line.status in ("not ok", "not known") for line in access):
            return access
        checks = self.list_checks(demand)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lines = pool.map(self._ask, checks, checks.values())
            return [*access, *(line for some in lines for line in some)]

    def _ask(self, what: str, check: Check) -> Sequence[Finding]:
        try:
            return list(check())
        except StoppedError:
            raise
        except ImmutableError as error:
            return [self._explain(what, error)]
        except Exception as error:  # noqa: BLE001 - a fault of one check hides no other's line
            said = f"{type(error).__name__}: {error}"
            return [Finding(what, "not known", said, "A fault of this program: please report it.")]

    def _explain(self, what: str, error: ImmutableError) -> Finding:
        refused = self.find_refused(error)
        if refused:
            return Finding(what, "not known", "cannot be asked", f"needs {refused}")
        said = "; ".join([error.what, *error.facts])
        return Finding(what, "not ok", said, error.todo or "Correct what is named.")
