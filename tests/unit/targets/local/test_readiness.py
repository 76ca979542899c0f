"""`doctor` on `local`: memory, disk, ports, KVM."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from immutable_servers.contract.readiness import Demand, Finding, ServiceDemand, Status
from immutable_servers.contract.values import Fleet, Launch, Route, Scope
from immutable_servers.targets.local import LocalTarget
from immutable_servers.targets.local.fleets import LocalFleets
from immutable_servers.targets.local.readiness import judge_accelerator, judge_disk, judge_memory

SCOPE = Scope("shop", "prod")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def ask(port: int, servers: int = 1, **settings: Any) -> Sequence[Finding]:  # noqa: ANN401
    """Return the lines of a stack with one service."""
    web = ServiceDemand(Launch("small", 80, "/healthz"), servers, keep=1)
    demand = Demand(SCOPE, [Route("web", port)], {"web": web}, {})
    return LocalTarget(settings).readiness.find_readiness(demand)


def test_this_machine_is_asked() -> None:
    """There is a line for each, and whoever has the port is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = {line.what: line for line in ask(port)}
    assert [*lines] == ["memory", "disk space", "ports of routes", "machines run in"]
    assert lines["ports of routes"].status == "not ok"
    assert str(port) in lines["ports of routes"].found
    assert {line.what: line for line in ask(port)}["ports of routes"].status == "ok"


def test_servers_that_run_are_not_wanted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stack's own machines have counts as free."""
    (before, *_) = ask(8080)
    fleet = Fleet("3f2a9c41", {}, servers=4, whole=True, running=4)
    monkeypatch.setattr(LocalFleets, "find", lambda *_: {"3f2a9c41": fleet})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    (after, *_) = ask(8080)
    assert before.found.endswith("2560 MB wanted at most")
    assert after.found == "2148 MB free or the stack's own, 2560 MB wanted at most"


class Memory:
    """A machine with little left."""

    available = 100 << 20


@pytest.mark.parametrize(("have", "status"), [(4096, "ok"), (3000, "note"), (2000, "not ok")])
def test_memory(have: int, status: Status) -> None:
    """Standbys that do not fit are worth a word; a candidate that does not fit is a failure."""
    line = judge_memory(have, first=2048, most=4096)
    assert line.status == status
    assert bool(line.todo) == (status != "ok")


def test_disk_and_kvm() -> None:
    """Little space and slow machines stop nothing, unless the settings ask for KVM."""
    assert judge_disk(20, 11).status == "ok"
    assert judge_disk(9, 11).status == "note"
    assert judge_accelerator("KVM", "auto").status == "ok"
    assert judge_accelerator("software emulation", "auto").status == "note"
    assert judge_accelerator("software emulation", "kvm").status == "not ok"
    assert judge_accelerator("not known before the first bake", "auto").status == "not known"
