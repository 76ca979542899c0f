"""The smallest application that serves: `/`, `/healthz` and `/version`."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IMAGE = json.loads(Path("/etc/immutable/image.json").read_text())
LAUNCH = json.loads(Path("/run/immutable/launch.json").read_text())
NAME = f"{LAUNCH['service']}-{LAUNCH['generation']}"
HEALTH = int(os.environ.get("HEALTH", "200"))
PROMISE = os.environ.get("PROMISE", "kept")
FAULTY = os.environ.get("FAULTY")
"""A path that no check asks for, and that fails."""
VERSION = {
    "images": {IMAGE["image"]: IMAGE["version"], **IMAGE["parents"]},
    "generation": LAUNCH["generation"],
    "server": LAUNCH["server"],
    "promise": PROMISE,
}


class Handler(BaseHTTPRequestHandler):
    """Answers request after request on one connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the generation, the health, or all that is known."""
        if self.path == "/healthz":
            self._answer(HEALTH, "ok\n")
        elif self.path == "/version":
            self._answer(200, json.dumps(VERSION))
        elif self.path == FAULTY:
            self._answer(500, "faulty\n")
        else:
            self._answer(200, LAUNCH["generation"])

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("X-Immutable-Generation", NAME)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """Takes as many connections as a balancer opens."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_args: object) -> None:
        """Print nothing: a balancer resets the connection of its health check."""


if __name__ == "__main__":
    sys.stderr.write(f"the health of {LAUNCH['server']} is {HEALTH}\n")
    Server(("", 8000), Handler).serve_forever()
