"""What a service's own address is asked, and what a node of its balancer answers.

A balancer's API says what it was asked for; what users get is what its nodes do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from immutable_servers.contract.plain import PlainForm
from immutable_servers.contract.values import Route

HEADER = "X-Immutable-Generation"
"""Response header in which a server names its service and generation, such as `web-3f2a9c41`."""
BROKEN = 500
"""Statuses from here on are failed answers."""


@dataclass(frozen=True)
class Front(PlainForm):
    """How a service's own address is asked.

    Attributes:
        health: Path of the health check.
        settle: Seconds for which only the right answers must have come.
    """

    route: Route
    health: str
    settle: float


@dataclass(frozen=True)
class Reply:
    """What one node answered over a fresh connection.

    Attributes:
        node: Its address.
        status: The answer's status; 0 where none came.
        names: What the answer's `HEADER` says, which may be there several times.
        fault: Why there is no answer.
        silent: Nothing at all came back to the wish to connect, or no way leads there: a firewall
            or another network looks like that.
    """

    node: str
    status: int = 0
    names: tuple[str, ...] = ()
    fault: str = ""
    silent: bool = False

    @property
    def failure(self) -> str:
        """What a user would have had in place of an answer; empty when it was one."""
        return self.fault or (str(self.status) if self.status >= BROKEN else "")


Ask = Callable[[], Sequence[Reply]]
"""Asks each node once, over a fresh connection; there is at least one reply."""
