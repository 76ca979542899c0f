"""Calls of the API: what one asks for, who answers which, and which scopes each needs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouds.digitalocean.emulation.world import World

TEST = "test"
"""The user agent of a test, which meets no manners."""
Body = dict[str, Any]
Handler = Callable[["World", "Call"], Body | None]


@dataclass(frozen=True)
class Operation:
    """One operation of DigitalOcean's document.

    Attributes:
        name: Its id there, with a dot: `droplets.create`.
        verb: Of HTTP.
        path: Its template there.
        scopes: What its caller's token has to hold.
        answer: The code of a success.
    """

    name: str
    verb: str
    path: str
    scopes: tuple[str, ...]
    answer: int
    handler: Handler

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a request's path has to match."""
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path))


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        which: Parameters of the path.
        asked: Those of the query, the last of each.
        agent: Who asks.
        number: How many calls there have been.
    """

    operation: Operation
    which: Mapping[str, str]
    asked: Mapping[str, str]
    body: Body
    agent: str
    number: int

    @property
    def is_strange(self) -> bool:
        """Whether it meets the cloud's manners; a test itself sees what is."""
        return self.agent != TEST

    def find_scopes(self) -> list[str]:
        """Return what the token has to hold for it, its body included."""
        more = BESIDE if self.operation.name == "droplets.create" else {}
        needed = [scope for field, scope in more.items() if self.body.get(field)]
        return [*self.operation.scopes, *needed]


BESIDE = {"ssh_keys": "ssh_key:read", "vpc_uuid": "vpc:read", "tags": "tag:create"}
"""Scopes that fields of a new droplet need."""
OPERATIONS: dict[str, Operation] = {}
"""By name."""


def answers(name: str, request: str, *scopes: str, code: int = 200) -> Callable[[Handler], Handler]:
    """Have a function answer an operation, such as `GET /v2/droplets`; it holds the lock."""
    verb, _, path = request.partition(" ")

    def take(handler: Handler) -> Handler:
        OPERATIONS[name] = Operation(name, verb, path, scopes, code, handler)
        return handler

    return take


def find_operation(verb: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """Return the operation of a request with the parameters of its path.

    A path without parameters comes before one with: `/v2/droplets/actions` is no droplet.
    """
    found = [
        (one, match.groupdict())
        for one in OPERATIONS.values()
        if one.verb == verb and (match := one.pattern.fullmatch(path))
    ]
    return min(found, key=lambda one: len(one[1]), default=None)
