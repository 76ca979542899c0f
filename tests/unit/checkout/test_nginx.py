"""The images' nginx with their real configuration, between a client and an application."""

import http.client
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws.settings import AwsSettings

NGINX = shutil.which("nginx")
BASE_CONFIG = ROOT / "packer/base/files/etc/nginx/nginx.conf"
APP_CONFIG = ROOT / "packer/app/files/etc/nginx/conf.d/site.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
HEADER = "X-Immutable-Generation"
OURS = f'add_header {HEADER} "web-3f2a9c41" always;\nproxy_hide_header {HEADER};\n'
pytestmark = pytest.mark.sample


@dataclass
class Site:
    """A running nginx, and what its application was asked and answers.

    Attributes:
        said: Headers of the application's answers.
    """

    port: int
    asked: list[Message] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def get(self, path: str = "/", **headers: str) -> http.client.HTTPResponse:
        """Ask once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request("GET", path, headers=names)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Start it with an application that answers what the test says."""
    if not NGINX:
        pytest.skip("nginx is not on the PATH")
    found = Site(_find_port())
    application = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(found))
    threading.Thread(target=application.serve_forever, daemon=True).start()
    places = {
        "/etc/nginx/mime.types": str(tmp_path / "mime.types"),
        "/etc/nginx/conf.d": str(tmp_path / "conf.d"),
        "/run/immutable": str(tmp_path / "run"),
        "/run/nginx.pid": str(tmp_path / "nginx.pid"),
        "127.0.0.1:8000": f"127.0.0.1:{application.server_port}",
        "listen 80 default_server": f"listen 127.0.0.1:{found.port} default_server",
        "user www-data;": "",
    }
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    for name in ("conf.d", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "nginx.conf").write_text(OURS)
    _lay(BASE_CONFIG, tmp_path / "nginx.conf", places)
    _lay(APP_CONFIG, tmp_path / "conf.d" / "site.conf", places)
    temporary = (f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in TEMPORARY)
    (tmp_path / "conf.d" / "temporary.conf").write_text("".join(temporary))
    words = ["-e", "stderr", "-g", "daemon off;", "-c", str(tmp_path / "nginx.conf")]
    nginx = subprocess.Popen([str(NGINX), *words])
    try:
        assert wait_until("nginx", 10, lambda: _is_there(found.port), every=0.02)
        yield found
    finally:
        nginx.terminate()
        nginx.wait()
        application.shutdown()
        application.server_close()


def test_every_answer_names_the_generation(site: Site) -> None:
    """Errors too; what the application says under that name is left out."""
    for site.status in (200, 404, 500):
        site.said = {HEADER: "web-00000000"}
        answer = site.get()
        assert (answer.status, answer.headers.get_all(HEADER)) == (site.status, ["web-3f2a9c41"])


def test_the_application_sees_what_the_balancer_said(site: Site) -> None:
    """The scheme and the port that the client used, and the client's address; its own else."""
    site.get(X_Forwarded_Proto="https", X_Forwarded_Port="443", X_Forwarded_For="203.0.113.7")
    asked = site.asked[-1]
    assert asked["X-Forwarded-Proto"] == "https"
    assert asked["X-Forwarded-Port"] == "443"
    assert asked["X-Forwarded-For"] == "203.0.113.7, 127.0.0.1"
    site.get()
    assert site.asked[-1]["X-Forwarded-Proto"] == "http"
    assert site.asked[-1]["X-Forwarded-Port"] is None


def test_a_connection_is_kept_for_all_that_a_balancer_asks(site: Site) -> None:
    """Nginx ends it neither after a thousand requests nor with a word to do so."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.connect()
    kept = connection.sock
    for _ in range(1100):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["Connection"] == "keep-alive"
    assert connection.sock is kept
    connection.close()


def test_idle_connections_are_kept_longer_than_any_balancer_keeps_them() -> None:
    """Whoever is in front closes them: else a request may meet the end of its connection (502)."""
    most = AwsSettings.model_fields["timeout"].metadata[1].le
    (said,) = re.findall(r"^ *keepalive_timeout (\d+)s;", BASE_CONFIG.read_text(), re.MULTILINE)
    assert int(said) > most >= 4000


def _lay(source: Path, file: Path, places: Mapping[str, str]) -> None:
    text = source.read_text()
    for place, instead in places.items():
        text = text.replace(place, instead)
    file.write_text(text)


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _is_there(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append(self.headers)
            self.send_response(site.status)
            for name, value in site.said.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    return Handler
