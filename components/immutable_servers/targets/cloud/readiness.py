"""What `doctor` does on each cloud alike: how it asks, and lines that are worded alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, TypeVar

from immutable_servers.contract.readiness import Check, Demand, Finding, Readiness, Status
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.calls import CloudApi
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.cloud.settings import CloudSettings

MOST_NAMED = 6
"""Missing permissions that are named; the rest is counted."""
ATTEMPTS = 3
"""Tries of one call: an endpoint that this machine does not reach is a line, and no long wait."""

A = TypeVar("A", bound=CloudApi[Any])
S = TypeVar("S", bound=CloudSettings)


@dataclass(frozen=True)
class CloudAsked(Generic[A, S]):
    """A stack, the account or project it is to be in, and answers that several checks read."""

    api: A
    demand: Demand

    @property
    def settings(self) -> S:
        """The target's settings."""
        found: S = self.api.settings
        return found

    @cached_property
    def server_types(self) -> Mapping[str, str]:
        """The size of each service's servers, in the cloud's own word."""
        services = self.demand.services.items()
        return {name: self.settings.find_size(one.launch.size) for name, one in services}

    @property
    def wanted_types(self) -> Sequence[str]:
        """Every size that the stack launches, in the cloud's own words."""
        return sorted({self.settings.bake_type, *self.server_types.values()})

    def list_wanted(self) -> Sequence[tuple[str, str, int, int]]:
        """Return the machines that the stack wants, with those of a bake.

        Each is what they are for, their type, how many run while a generation is verified, and how
        many at most.
        """
        services, bake = self.demand.services.items(), self.settings.bake_type
        servers = [
            (f"{name} {one.most} x {kind}", kind, one.first, one.most)
            for name, one in services
            for kind in [self.server_types[name]]
        ]
        return [*servers, (f"bake {bake}", bake, 1, 1)]


class CloudReadiness(Readiness, Generic[A]):
    """Asks a cloud whether a stack can be, by reading alone.

    Attributes:
        checks: What is asked, by the line's name, in the order of the table. One on what the
            settings leave out yields no line.
    """

    checks: ClassVar[Mapping[str, Callable[[Any, str], Iterable[Finding]]]]

    def __init__(self, api: A) -> None:
        fewer = {"attempts": min(api.settings.attempts, ATTEMPTS)}
        self.api = type(api)(api.settings.model_copy(update=fewer))

    def start(self, demand: Demand) -> CloudAsked[A, Any]:
        """Return what the checks of one `doctor` share."""
        return CloudAsked(self.api, demand)

    def list_checks(self, demand: Demand) -> Mapping[str, Check]:
        """Return all checks."""
        asked = self.start(demand)
        return {name: partial(check, asked, name) for name, check in self.checks.items()}

    def find_refused(self, error: ImmutableError) -> str:
        """Return the permission that the cloud has missed."""
        return find_denied(error)


def judge(what: str, wrong: str, todo: str, right: str) -> Finding:
    """Return a line that is not ok when something is wrong."""
    return Finding(what, "not ok", wrong, todo) if wrong else Finding(what, "ok", right)


def judge_room(what: str, said: str, ways: str, *, fits: bool, fits_first: bool) -> Finding:
    """Return the line of a quota.

    Args:
        what: The line's name.
        said: The numbers.
        ways: How the quota gets larger.
        fits: All that the stack wants does.
        fits_first: All but the standbys does.
    """
    if fits:
        return Finding(what, "ok", said)
    if fits_first:
        return Finding(what, "note", said, f"Standbys do not fit: set keep: 0, or {ways}")
    return Finding(what, "not ok", said, f"Fewer or smaller servers, or {ways}")


def name_missing(permissions: Sequence[str]) -> str:
    """Return the permissions that are missing in words; empty when none is."""
    named, rest = ", ".join(permissions[:MOST_NAMED]), len(permissions) - MOST_NAMED
    return f"missing: {named}{f' and {rest} more' if rest > 0 else ''}" if permissions else ""


def note_plain(what: str) -> Finding:
    """Return the line of a balancer without a certificate."""
    todo = "Without a certificate passwords and cookies are read on the way: set `certificate`."
    return Finding(what, "note", "none: the balancer speaks HTTP", todo)


def check_starts(
    asked: CloudAsked[A, S], what: str, look: Callable[[A, Mapping[str, Any]], tuple[Status, str]]
) -> Iterator[Finding]:
    """Yield a line for each image without a parent.

    Args:
        asked: Of the stack.
        what: How each line's name begins.
        look: Asks the cloud for what an entry of the lock names, and judges it.
    """
    for image, entry in asked.demand.starts.items():
        missing: tuple[Status, str] = ("not ok", "the lock has no entry for this target")
        status, said = look(asked.api, entry) if entry else missing
        todo = f"Run ./immutable update {image} --stack {asked.demand.scope.stack}."
        yield Finding(f"{what} of {image}", status, said, "" if status == "ok" else todo)
