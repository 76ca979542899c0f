"""What began before the traffic moved is finished: a download, and a connection that was upgraded.

The real HAProxy in front of small servers, without machines.
"""

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.haproxy_world import ask, start_server
from immutable_servers.contract.values import Scope
from immutable_servers.targets.local import LocalTarget
from immutable_servers.targets.local.ports import LOOPBACK

BALANCER = LocalTarget({}).balancer
OLD, NEW = (Scope("demo", "dev", "web", f"{number:08x}") for number in (1, 2))
CHUNK = b"x" * 100_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to that key: https://www.rfc-editor.org/rfc/rfc6455#section-1.3."""
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextmanager
def start_slow_server() -> Iterator[tuple[int, threading.Event]]:
    """Yield the port of a server with long answers, and what lets it finish its downloads."""
    finish = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/socket":
                self._echo()
                return
            body = [CHUNK, CHUNK] if self.path == "/download" else [b"old"]
            self.send_response(200)
            self.send_header("Content-Length", str(sum(map(len, body))))
            self.end_headers()
            self.wfile.write(body[0])
            if body[1:]:
                finish.wait(30)
                self.wfile.write(body[1])

        def _echo(self) -> None:
            text = f"{self.headers['Sec-WebSocket-Key']}{MAGIC}".encode()
            digest = hashlib.sha1(text, usedforsecurity=False).digest()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
            self.end_headers()
            for line in self.rfile:
                self.wfile.write(line)
            self.close_connection = True

        def log_message(self, *_args: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """Print nothing: HAProxy resets the connection of a health check."""

    with Server((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port, finish
        finally:
            finish.set()
            server.shutdown()
            thread.join()


class Upgraded:
    """A client's connection after the handshake of a WebSocket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), 20)
        request = (
            "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        self.lines = self.socket.makefile("rb")
        head = [line.decode().strip() for line in iter(self.lines.readline, b"\r\n")]
        assert head[0].startswith("HTTP/1.1 101 ")
        assert f"sec-websocket-accept: {ACCEPT}".lower() in [line.lower() for line in head]

    def echo(self, text: str) -> str:
        """Send a line and return the answer."""
        self.socket.sendall(f"{text}\n".encode())
        return self.lines.readline().decode().strip()

    def close(self) -> None:
        """Hang up."""
        self.lines.close()
        self.socket.close()


def test_a_download_and_a_websocket_that_began_before_the_move_complete(balancer_port: int) -> None:
    """Both go on at the old generation while new requests are the new one's; drain waits for both.

    Beside the move there is a reload, which a new generation always brings: the connections are
    those of an earlier worker then.
    """
    said: list[str] = []
    with start_slow_server() as (slow, finish), start_server("new") as quick:
        _point(OLD, slow)
        with (
            closing(Upgraded(balancer_port)) as upgraded,
            closing(socket.create_connection((LOOPBACK, balancer_port), 20)) as download,
        ):
            download.sendall(b"GET /download HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = download.recv(1000)
            assert upgraded.echo("before") == "before"
            _point(NEW, quick)
            assert ask(balancer_port) == (200, "new")
            draining = threading.Thread(target=BALANCER.drain, args=(OLD, 30, said.append))
            draining.start()
            assert upgraded.echo("after") == "after"
            finish.set()
            while more := download.recv(65536):
                got += more
            assert got.partition(b"\r\n\r\n")[2] == CHUNK + CHUNK
            assert upgraded.echo("still there") == "still there"
            assert draining.is_alive()
        draining.join(30)
        assert said == ["drained"]
        BALANCER.remove(OLD)
        assert ask(balancer_port) == (200, "new")


def test_a_connection_that_never_ends_is_waited_for_as_long_as_drain(
    balancer_port: int,
) -> None:
    """After `drain` the generation goes all the same, and the line says what was left."""
    said: list[str] = []
    with start_slow_server() as (slow, _), start_server("new") as quick:
        _point(OLD, slow)
        with closing(Upgraded(balancer_port)) as upgraded:
            assert upgraded.echo("before") == "before"
            _point(NEW, quick)
            BALANCER.drain(OLD, 1, said.append)
    assert said == ["waited for 1 s, connections left: 1"]


def _point(scope: Scope, port: int) -> None:
    BALANCER.register(scope, "/", {f"web-{scope.generation}-0": port})
    BALANCER.set_traffic(scope, {scope.generation: 100})
