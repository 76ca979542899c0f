"""A small web service: what a server of this project runs until you bring your own.

It answers `/` (a page with the greeting), `/healthz` (200 while it takes requests) and `/version`
(the images it was baked from, its generation and server). It needs the standard library only.
"""

import html
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

IMAGE_FACTS = Path("/etc/immutable/image.json")
LAUNCH_DATA = Path("/run/immutable/launch.json")

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{greeting}</title>
<h1>{greeting}</h1>
<p>Served by {server}, generation {generation}, from image {image} {version}.</p>
</html>
"""


@dataclass(frozen=True)
class Facts:
    """What this server says about itself.

    Attributes:
        greeting: The setting `GREETING` of the service's `env`.
        images: Version by image name: the image that runs and its parents.
    """

    greeting: str = "hello"
    image: str = ""
    version: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    service: str = ""
    generation: str = ""
    server: str = ""

    def to_json(self) -> bytes:
        """Return what `/version` answers."""
        shown = {
            "image": self.image,
            "version": self.version,
            "images": dict(self.images),
            "service": self.service,
            "generation": self.generation,
            "server": self.server,
        }
        return json.dumps(shown, indent=2).encode() + b"\n"

    def to_page(self) -> bytes:
        """Return what `/` answers."""
        shown = {name: html.escape(str(value)) for name, value in vars(self).items()}
        return PAGE.format(**shown).encode()


def read_facts(
    env: Mapping[str, str], image_facts: Path = IMAGE_FACTS, launch_data: Path = LAUNCH_DATA
) -> Facts:
    """Read the image's and the launch's files; a machine that has none of them has empty facts."""
    image = _read_json(image_facts)
    launch = _read_json(launch_data)
    name, version = image.get("image", ""), image.get("version", "")
    return Facts(
        greeting=env.get("GREETING", Facts.greeting),
        image=name,
        version=version,
        images={**({name: version} if name else {}), **image.get("parents", {})},
        service=launch.get("service", ""),
        generation=launch.get("generation", ""),
        server=launch.get("server", ""),
    )


def _read_json(path: Path) -> dict[str, Any]:
    """Return a file's object, empty when there is no such file."""
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread; requests in flight are finished at the end."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], facts: Facts) -> None:
        super().__init__(address, Handler)
        self.facts = facts
        self.leaving = threading.Event()

    def stop(self) -> None:
        """Take no more connections; those that are open are closed after their next answer.

        Call it from another thread than the one in `serve_forever`.
        """
        self.leaving.set()
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - http.server's
        """Pass over a client that has gone, as a balancer's health check may; tell of the rest."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection, request by request."""

    protocol_version = "HTTP/1.1"
    server_version = "sample"
    sys_version = ""
    timeout = 5  # an idle connection holds up a stop no longer than this
    server: Server

    pages: ClassVar[Mapping[str, str]] = {
        "/": "text/html; charset=utf-8",
        "/healthz": "text/plain; charset=utf-8",
        "/version": "application/json",
    }

    def do_GET(self) -> None:
        """Answer one of the pages."""
        path = self.path.partition("?")[0]
        if path not in self.pages:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")
        else:
            self._answer(HTTPStatus.OK, self.pages[path], self._render(path))

    def do_HEAD(self) -> None:
        """Answer as GET does, without the body."""
        self.do_GET()

    def _render(self, path: str) -> bytes:
        if path == "/version":
            return self.server.facts.to_json()
        return self.server.facts.to_page() if path == "/" else b"ok\n"

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.leaving.is_set():
            self.send_header("Connection", "close")  # http.server closes it for that header
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # the client has gone: nobody is left to tell
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - http.server's
        """Write the access log to stdout, which the journal keeps."""
        sys.stdout.write(f"{self.address_string()} {format % args}\n")
        sys.stdout.flush()


def main() -> None:
    """Serve on `HOST` and `PORT` until SIGTERM or SIGINT."""
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000")))
    server = Server(address, read_facts(os.environ))

    def leave(*_: object) -> None:
        threading.Thread(target=server.stop, name="stop").start()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
