"""Little servers on loopback and a polling client, for tests of the real HAProxy."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_server

import tenacity

from immutable_servers.contract.front import HEADER
from immutable_servers.targets.local.ports import LOOPBACK


def find_free_port() -> int:
    """Return a port that nobody listens on now."""
    with create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def start_server(answer: str, seen: set[str] | None = None, port: int = 0) -> Iterator[int]:
    """Yield the port of a server that answers every GET with one word, also as who it is.

    `/slow` is answered only after `/release` was asked for, `/wait` only once `/slow` is here, and
    `/moved` with a redirect. What was asked for goes to `seen`.
    """
    release, waiting = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if seen is not None:
                # `path` has one slash for two at its start.
                seen.add(self.requestline.split()[1])
            if self.path == "/slow":
                waiting.set()
                release.wait(30)
            if self.path == "/wait":
                waiting.wait(30)
            if self.path == "/release":
                release.set()
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header(HEADER, answer)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_args: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_args: object) -> None:
            """Print nothing: HAProxy resets the connection of a health check."""

    with Server((LOOPBACK, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            release.set()
            server.shutdown()
            thread.join()


def ask(port: int, path: str = "/", host: str = "localhost", cookie: str = "") -> tuple[int, str]:
    """Return status and text of one answer, on a connection of its own."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
    try:
        cookies = {"Cookie": cookie} if cookie else {}
        connection.request("GET", path, headers={"Host": host, "Connection": "close", **cookies})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Client(threading.Thread):
    """Asks at a steady rate until it is stopped, and counts what it was answered.

    Attributes:
        answers: The word, or what went wrong, to how often.
        first: When it was first answered so, in seconds of the epoch.
    """

    def __init__(self, port: int, rate: float, *, keep_alive: bool, path: str = "/") -> None:
        super().__init__()
        self.port, self.rate, self.keep_alive, self.path = port, rate, keep_alive, path
        self.answers: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Ask; a keep-alive connection is opened again only when the answer said that it ends."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)
        headers = {} if self.keep_alive else {"Connection": "close"}
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due += 1 / self.rate
            try:
                connection.request("GET", self.path, headers=headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                said = text if answer.status == 200 else f"{answer.status}"
                self.answers[said] += 1
                self.first.setdefault(said, time.time())
            except (OSError, http.client.HTTPException) as error:
                self.answers[repr(error)] += 1
                connection.close()
        connection.close()

    def wait_for(self, text: str, times: int) -> None:
        """Wait until one answer was seen so often, or something else went wrong for 30 s."""
        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda seen: seen < times),
            wait=tenacity.wait_fixed(0.05),
            stop=tenacity.stop_after_delay(30),
        )(lambda: self.answers[text])

    def stop(self) -> Counter[str]:
        """Stop asking and return the answers."""
        self.stopped.set()
        self.join()
        return self.answers
