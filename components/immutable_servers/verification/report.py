"""The report of one verification: what passed and failed on each server."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from immutable_servers.contract.plain import restore_numbers


@dataclass(frozen=True)
class Failure:
    """One check that failed on one server.

    Attributes:
        check: Its file and name, such as `test_base.test_nginx`.
        message: The assertion or the error, one or a few lines.
    """

    check: str
    message: str


@dataclass(frozen=True)
class ServerResult:
    """What the checks found on one server.

    Attributes:
        failures: The failed checks, and what kept the checks from running at all.
        repeated: Checks marked `eventually` that did not pass at once, with how often.
    """

    server: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[Failure, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether checks passed and none failed."""
        return self.passed > 0 and not self.failed and not self.failures

    def add(self, other: Self) -> Self:
        """Return the result with that of other checks of this server."""
        return replace(
            self,
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            failures=self.failures + other.failures,
            repeated=self.repeated + other.repeated,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the result from plain values."""
        failures = tuple(Failure(**failure) for failure in plain["failures"])
        return cls(**{**plain, "failures": failures, "repeated": tuple(plain["repeated"])})


@dataclass(frozen=True)
class Report:
    """The verdict with its reasons.

    Attributes:
        ok: On every server checks passed and none failed.
        reason: Why the verdict is bad, in one sentence; empty when it is good.
        seconds: How long it took.
        junit: Path of the JUnit file, empty when nothing ran.
        servers: In the order of their logins.
        total: Number of servers that exist; more than `servers` when a sample was checked.
        used: Who logged in to the servers, a line for each: such servers never pass.
        todo: What the reader may do about the reason, in one sentence; empty where it says all.
    """

    ok: bool
    reason: str
    seconds: float = 0.0
    junit: str = ""
    servers: tuple[ServerResult, ...] = field(default=())
    total: int = 0
    used: tuple[str, ...] = ()
    todo: str = ""

    @classmethod
    def of_used(cls, used: Sequence[str]) -> Self:
        """Make the report of servers that somebody logged in to."""
        reason = (
            f"{'; '.join(used)}: such servers are not verified, and ./immutable up makes a fresh"
            " round of them"
        )
        return cls(ok=False, reason=reason, used=tuple(used))

    @classmethod
    def failed(cls, reason: str, todo: str = "") -> Self:
        """Make the report of a verification that could not run."""
        return cls(ok=False, reason=reason, todo=todo)

    @classmethod
    def of(cls, servers: Sequence[ServerResult], *, seconds: float, junit: str, total: int) -> Self:
        """Make the report of the servers' results."""
        reason = _find_reason(servers)
        return cls(
            ok=not reason,
            reason=reason,
            seconds=round(seconds, 1),
            junit=junit,
            servers=tuple(servers),
            total=total,
        )

    def to_plain(self) -> dict[str, Any]:
        """Return plain values that JSON and Pulumi can hold."""
        servers = [
            {**asdict(server), "failures": [asdict(failure) for failure in server.failures]}
            for server in self.servers
        ]
        for server in servers:
            server["repeated"] = list(server["repeated"])
        return {**asdict(self), "servers": servers, "used": list(self.used)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the report from what `to_plain` returned, numbers of the engine included."""
        values = restore_numbers(dict(plain))
        servers = tuple(ServerResult.from_plain(server) for server in values["servers"])
        used = tuple(values.get("used", ()))
        numbers = {"seconds": float(values["seconds"])}
        return cls(**{**values, **numbers, "servers": servers, "used": used})

    def summary(self) -> str:
        """Return one line: the counts, the servers and the seconds, or the reason."""
        if not self.ok:
            return self.reason
        checks = sum(server.passed for server in self.servers)
        skipped = sum(server.skipped for server in self.servers)
        repeated = sum(len(server.repeated) for server in self.servers)
        parts = [f"{count(checks, 'check')} passed on {self._describe_servers()}"]
        parts += [f"{skipped} skipped"] if skipped else []
        parts += [f"{repeated} of them after repeating"] if repeated else []
        return f"{', '.join(parts)}, in {self.seconds:.1f} s"

    def describe_failures(self) -> list[str]:
        """Return `server: check: message` for each failed check, or the reason when none ran."""
        lines = [
            f"{server.server}: {failure.check}: {failure.message}"
            for server in self.servers
            for failure in server.failures
        ]
        return lines or ([] if self.ok else [self.reason])

    def _describe_servers(self) -> str:
        checked = count(len(self.servers), "server")
        return (
            f"a sample of {checked} of {self.total}" if self.total > len(self.servers) else checked
        )


def count(number: int, word: str) -> str:
    """Return such as `1 check` or `2 checks`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _find_reason(servers: Sequence[ServerResult]) -> str:
    if not servers:
        return "There is no server to check"
    bad = [server for server in servers if not server.ok]
    if not bad:
        return ""
    failed = sum(server.failed for server in bad)
    if failed:
        names = ", ".join(server.server for server in bad if server.failed)
        return f"{count(failed, 'check')} failed on {names}"
    first = bad[0]
    return f"{first.server}: {first.failures[0].message}" if first.failures else ""
