"""Reloads and pointer moves while clients ask all the time."""

import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.haproxy_world import Client, find_free_port, start_server
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.local import LocalTarget

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")

BALANCER = LocalTarget({}).balancer
STACK = Scope("demo", "dev")
ROUNDS = 5
ANSWERS = 50
CLIENTS, RATE = 8, 25
"""200 requests a second in all: half of the clients keep their connection, half do not."""


def test_no_request_fails_while_generations_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round registers a generation, moves the traffic, drains and removes the one before.

    No client sees an error or a 503, and none is answered by a generation before its turn.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    route = Route("web", find_free_port())
    scopes = [Scope("demo", "dev", "web", f"{number:08x}") for number in range(ROUNDS)]
    said: list[str] = []
    answers: Counter[str] = Counter()
    with ExitStack() as stack:
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="sockets-"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        BALANCER.start(STACK, [route])
        stack.callback(BALANCER.stop, STACK)
        ports = [stack.enter_context(start_server(scope.generation)) for scope in scopes]
        _add(scopes[0], ports[0])
        clients = [Client(route.port, RATE, keep_alive=bool(n % 2)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for old, new, port in zip(scopes, scopes[1:], ports[1:], strict=False):
                _add(new, port)
                for client in clients:
                    client.wait_for(new.generation, ANSWERS)
                BALANCER.drain(old, 30, said.append)
                BALANCER.remove(old)
        finally:
            for client in clients:
                answers += client.stop()
    assert set(said) == {"drained"}
    assert set(answers) == {scope.generation for scope in scopes}


def _add(scope: Scope, port: int) -> None:
    BALANCER.register(scope, "/", {f"web-{scope.generation}-0": port})
    BALANCER.set_traffic(scope, {scope.generation: 100})
