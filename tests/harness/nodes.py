"""A balancer of several nodes on addresses of this machine, each a real HTTP server."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from immutable_servers.contract.front import HEADER

NAME = "balancer.test"
"""What the nodes' addresses are looked up by."""
LOOK_UP: Callable[..., Any] = socket.getaddrinfo
Said = tuple[int, Sequence[str]]
"""The status of an answer, 0 to close the connection without one, and the names in its header."""


@dataclass
class Node:
    """One of them.

    Attributes:
        answers: What it answers to its next questions; the last one ever after.
        asked: Client's port, Host and path of each question.
        headers: All headers of each question.
    """

    answers: list[Said]
    asked: list[tuple[int, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    held: threading.Event | None = None

    def take(self) -> Said:
        """Return the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Nodes:
    """All of them, under one name and port."""

    port: int
    nodes: dict[str, Node]

    def __getitem__(self, number: int) -> Node:
        return list(self.nodes.values())[number]


@contextmanager
def start_nodes(
    monkeypatch: pytest.MonkeyPatch, *answers: list[Said], tls: ssl.SSLContext | None = None
) -> Iterator[Nodes]:
    """Yield nodes that give these answers, a list for each."""
    nodes = {f"127.0.7.{number}": Node(said) for number, said in enumerate(answers, 1)}
    with ExitStack() as stack:
        port = 0
        for address, node in nodes.items():
            server = ThreadingHTTPServer((address, port), _make_handler(node))
            server.daemon_threads = True
            if tls:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            port = int(server.server_address[1])
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        lead_to(monkeypatch, *nodes)
        yield Nodes(port, nodes)


def lead_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have the name lead to these addresses; without one nobody knows it."""

    def find(host: str, port: int, *words: Any, **more: Any) -> list[Any]:  # noqa: ANN401
        hosts = addresses or ("nothing.invalid",) if host == NAME else (host,)
        return [one for each in hosts for one in LOOK_UP(each, port, *words, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", find)


def _make_handler(node: Node) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            node.asked.append((self.client_address[1], self.headers["Host"], self.path))
            node.headers.append(dict(self.headers))
            if node.held:
                node.held.wait()
            status, names = node.take()
            self.close_connection = True
            if not status:
                return
            self.send_response(status)
            for name in names:
                self.send_header(HEADER, name)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    return Handler
