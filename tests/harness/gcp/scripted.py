"""A scripted Google on loopback, which the real SDK asks."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from unittest.mock import patch

from immutable_servers.targets.gcp.clients import APIS, TOKEN, forget_clients

PLACE = {"project": "shop-123456", "region": "europe-west3"}


class Asked(NamedTuple):
    """One request, with its path below the API's."""

    method: str
    path: str
    body: Any
    query: str


@dataclass
class Google:
    """What is answered, in order: the last answer stays.

    Attributes:
        answers: Status and body, by the method and the end of the path that they are for.
        asked: The requests so far.
        on_call: Called with each request.
    """

    answers: dict[str, list[tuple[int, Mapping[str, Any]]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    on_call: Callable[[], None] = lambda: None

    def say(self, what: str, *bodies: Mapping[str, Any], status: int = 200) -> None:
        """Answer a method and a path's end, such as `GET images/a`, with these bodies."""
        self.answers.setdefault(what, []).extend((status, body) for body in bodies)

    def refuse(self, what: str, status: int, reason: str, said: str = "no") -> None:
        """Refuse as Compute Engine does."""
        errors = [{"domain": "global", "reason": reason, "message": said}]
        error = {"code": status, "message": said, "errors": errors}
        self.say(what, {"error": error}, status=status)

    def find_answer(self, request: Asked) -> tuple[int, Mapping[str, Any]]:
        """Return the next answer to a request."""
        self.asked.append(request)
        self.on_call()
        for what, answers in self.answers.items():
            method, _, path = what.partition(" ")
            if method == request.method and request.path.endswith(path):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        raise AssertionError(request)

    def list_calls(self) -> list[str]:
        """Return the requests, without the project in their paths."""
        place = f"projects/{PLACE['project']}/"
        return [f"{one.method} {one.path.partition(place)[2]}" for one in self.asked]


@contextmanager
def start_google() -> Iterator[Google]:
    """Yield a Google without any answer, which every API of the SDK leads to."""
    scripted = Google()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            asked = Asked(self.command, path, json.loads(content or "null"), query)
            status, body = scripted.find_answer(asked)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the base's names

        def log_message(self, *_words: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    endpoints = {variable: f"{base}/{version}/" for version, variable in APIS.values()}
    endpoints[APIS["compute"][1]] = f"{base}/compute/v1/"
    with patch.dict(os.environ, {**endpoints, TOKEN: "test"}):
        forget_clients()
        yield scripted
        forget_clients()
    server.shutdown()
    server.server_close()
