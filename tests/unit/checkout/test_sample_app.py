"""The sample application."""

import http.client
import importlib.util
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.checkout import ROOT

pytestmark = pytest.mark.sample
FACTS = {
    "greeting": "<hello>",
    "image": "app",
    "version": "3f2a9c41d0e7",
    "images": {"app": "3f2a9c41d0e7", "base": "0123456789ab"},
    "service": "web",
    "generation": "3f2a9c41",
    "server": "web-3f2a9c41-0",
}


def load_app() -> ModuleType:
    """Return the module, which is read once a test uses it: it may have given way to another."""
    spec = importlib.util.spec_from_file_location("sample_app", ROOT / "app" / "server.py")
    assert spec is not None
    assert spec.loader is not None
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


app = load_app()


class Running:
    """The application in a thread, on a port that the kernel chose."""

    def __init__(self) -> None:
        self.server = app.Server(("127.0.0.1", 0), app.Facts(**FACTS))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with self.server:
            self.server.serve_forever(poll_interval=0.01)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is made with its first request."""
        return http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of one request on a connection of its own."""
        connection = self.connect()
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.server.stop()
    running.thread.join()


def test_health_is_answered(running: Running) -> None:
    """`/healthz` answers 200."""
    assert running.get("/healthz") == (200, b"ok\n")


def test_version_names_images_generation_and_server(running: Running) -> None:
    """`/version` is JSON with the versions of the image and its parents."""
    status, body = running.get("/version?pretty")
    assert status == 200
    assert json.loads(body) == {
        "image": "app",
        "version": "3f2a9c41d0e7",
        "images": {"app": "3f2a9c41d0e7", "base": "0123456789ab"},
        "service": "web",
        "generation": "3f2a9c41",
        "server": "web-3f2a9c41-0",
    }


def test_greeting_is_escaped(running: Running) -> None:
    """The page shows the greeting as text, whatever is in it."""
    status, body = running.get("/")
    assert status == 200
    assert b"&lt;hello&gt;" in body
    assert b"<hello>" not in body


def test_unknown_path_is_not_found(running: Running) -> None:
    """Any other path is 404."""
    assert running.get("/nothing")[0] == 404


def test_head_has_no_body(running: Running) -> None:
    """HEAD gives GET's headers, and a connection that can be used again."""
    connection = running.connect()
    connection.request("HEAD", "/healthz")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "3", b"")
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    connection.close()


def test_stop_answers_open_connections_and_closes_them() -> None:
    """A connection that is open when the server stops gets its answer, with Connection: close."""
    running = Running()
    connection = running.connect()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    running.server.stop()
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    connection.close()
    running.thread.join(timeout=10)
    assert not running.thread.is_alive()


def test_a_client_that_resets_its_connection_is_no_error(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """A balancer's health check may end so: no traceback comes to the console, and it serves on."""
    client = socket.create_connection(("127.0.0.1", running.server.server_port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert running.get("/healthz") == (200, b"ok\n")
    running.server.stop()
    running.thread.join(timeout=10)
    assert "Traceback" not in capsys.readouterr().err


def test_facts_come_from_image_launch_and_env(tmp_path: Path) -> None:
    """What it says is what the bake and the launch wrote."""
    image, launch = tmp_path / "image.json", tmp_path / "launch.json"
    image.write_text('{"image": "app", "version": "a1", "parents": {"base": "b2"}}')
    launch.write_text('{"service": "web", "generation": "c3", "server": "web-c3-0"}')
    facts = app.read_facts({"GREETING": "salve"}, image, launch)
    assert facts == app.Facts(
        "salve", "app", "a1", {"app": "a1", "base": "b2"}, "web", "c3", "web-c3-0"
    )


def test_a_machine_without_facts_serves(tmp_path: Path) -> None:
    """On a developer's machine there are no such files, and the application runs all the same."""
    assert app.read_facts({}, tmp_path / "none", tmp_path / "none") == app.Facts()
