"""One question of health: HAProxy and our own ask the same, and take the same answers."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.haproxy_world import find_free_port
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_config, health
from immutable_servers.targets.local.haproxy_config import (
    LIMITS,
    MAP,
    NO_STATES,
    STATES,
    Backend,
    render_config,
)
from immutable_servers.targets.local.haproxy_stats import find_members, find_unasked
from immutable_servers.targets.local.health import ask_health
from immutable_servers.targets.local.machines import Machine

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")

MOMENT, SECONDS = 0.05, 1
PATH = "/up?deep=1&a=%41"
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Server:
    """A server that answers `first`, and then `again` and again while somebody listens."""

    first: bytes
    again: bytes = b""
    healthy: bool = False
    asked: list[bytes] = field(default_factory=list)


SERVERS = {
    "plain": Server(OK + b"Content-Length: 2\r\n\r\nok", healthy=True),
    "empty": Server(b"HTTP/1.1 204 No Content\r\n\r\n", healthy=True),
    "no-reason": Server(b"HTTP/1.1 200\r\n\r\n", healthy=True),
    "old": Server(b"HTTP/1.0 200 OK\r\n\r\nok", healthy=True),
    "long": Server(OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536, healthy=True),
    "endless": Server(OK + b"\r\n", b"x" * 65536, healthy=True),
    "events": Server(OK + b"Content-Type: text/event-stream\r\n\r\n", b"data: x\n", healthy=True),
    "no-body": Server(OK + b"Content-Length: 9\r\n\r\n", healthy=True),
    "moved": Server(b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\n\r\n"),
    "refused": Server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "broken": Server(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    "slow-header": Server(OK + b"X: ", b"x"),
    "slow-status": Server(b"", b"H"),
    "half": Server(OK + b"X: y\r\n"),
    "other": Server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "silent": Server(b"", b""),
}


@contextmanager
def start_server(server: Server) -> Iterator[int]:
    """Yield the port of a server."""
    over = threading.Event()

    def answer(link: socket.socket) -> None:
        with link, suppress(OSError):
            server.asked.append(link.recv(65536))
            link.sendall(server.first)
            while server.again and not over.wait(MOMENT if len(server.again) < 100 else 0):
                link.sendall(server.again)

    def serve() -> None:
        with suppress(OSError):
            while True:
                link = listener.accept()[0]
                threading.Thread(target=answer, args=(link,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def start_haproxy(folder: Path, backends: list[Backend]) -> Iterator[Path]:
    """Yield the master's socket of a HAProxy that asks these servers."""
    (folder / MAP).touch()
    (folder / STATES).write_text(NO_STATES)
    text = render_config([], backends, LIMITS, folder / "stats")
    (folder / "haproxy.cfg").write_text(text)
    command = ["haproxy", "-W", "-S", str(folder / "master"), "-f", "haproxy.cfg"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        yield folder / "master"
        process.terminate()


def test_haproxy_and_our_own_question_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each server is asked the same bytes by both, and is healthy for both or for neither.

    No answer takes longer or more than it may: a body is not read, and what is not whole in time
    is none.
    """
    monkeypatch.setattr(health, "ANSWER_SECONDS", SECONDS)
    monkeypatch.setattr(haproxy_config, "ANSWER_SECONDS", SECONDS)
    with ExitStack() as stack:
        ports = {name: stack.enter_context(start_server(one)) for name, one in SERVERS.items()}
        ports["nobody"] = find_free_port()
        master = stack.enter_context(
            start_haproxy(tmp_path, [Backend("b", PATH, ports)]),
        )
        ours = {
            name: ask_health(Machine(name, "app/1", port, 80, 512, 1), PATH)
            for name, port in ports.items()
        }
        healthy = {name for name, one in SERVERS.items() if one.healthy}
        assert {name for name, one in ours.items() if one.ok} == healthy

        def agree() -> bool:
            up = {name for name, one in find_members(master, "b").items() if one.up}
            return up == healthy and not find_unasked(master, "b")

        assert wait_until("the checks", 30, agree, every=0.2), find_members(master, "b")
        refused = find_members(master, "b")["refused"]
        for name, server in SERVERS.items():
            assert len(server.asked) > 1
            assert len(set(server.asked)) == 1, name
            assert server.asked[0].startswith(f"GET {PATH} HTTP/1.1\r\nhost: ".encode())
    assert refused.detail == "DOWN: L7STS 400, Layer7 wrong status, Bad Request"
    assert ours["slow-header"].detail == f"no whole answer within {SECONDS} s"
    assert all(one.detail for one in ours.values())
