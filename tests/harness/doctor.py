"""Asks what `doctor` asks of a cloud, check by check."""

from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

from harness.cloud_world import STACK
from immutable_servers.contract.readiness import Demand, Finding, Readiness, ServiceDemand
from immutable_servers.contract.values import Launch, Route


def make_demand(
    servers: int = 2,
    keep: int = 1,
    *,
    size: str = "small",
    starts: Mapping[str, Any] | None = None,
    routes: Sequence[Route] = (Route("web", 8080),),
) -> Demand:
    """Return what a stack with one service wants."""
    service = ServiceDemand(Launch(size, 80, "/healthz"), servers, keep)
    return Demand(STACK, [*routes], {"web": service}, starts or {})


def ask_one(readiness: Readiness, what: str, demand: Demand) -> Sequence[Finding]:
    """Return the lines of one check, and of none when it is about credentials."""
    found = readiness.list_checks(demand)
    one = {name: check for name, check in found.items() if name == what}
    with patch.object(readiness, "list_checks", lambda _demand: one):
        lines = readiness.find_readiness(demand)
    return [line for line in lines if line.what.startswith(what)]


def get_one(lines: Sequence[Finding]) -> Finding:
    """Return the only line of one check; each that is not ok has a way out."""
    (line,) = lines
    assert line.todo or line.status == "ok"
    return line
