"""What is downloaded comes over https, whatever a server redirects to."""

import io
import urllib.request
import urllib.response
from email.message import Message
from typing import Any

import pytest

from immutable_servers.system import downloads


class Server(urllib.request.BaseHandler):
    """Stands in for the network: redirects the first address to a second one, which answers."""

    handler_order = 100
    to = ""

    def https_open(self, request: urllib.request.Request) -> Any:  # noqa: ANN401 - urllib's own
        """Answer an https request."""
        headers = Message()
        code = 200
        if request.full_url.endswith("/first"):
            headers["Location"], code = self.to, 302
        answer = urllib.response.addinfourl(io.BytesIO(b"said"), headers, request.full_url, code)
        answer.msg = "as asked"  # type: ignore[attr-defined]
        return answer

    http_open = https_open


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that each opener asks."""
    made, build = Server(), urllib.request.build_opener
    monkeypatch.setattr(urllib.request, "build_opener", lambda *handlers: build(made, *handlers))
    return made


def test_a_redirection_to_another_https_address_is_followed(server: Server) -> None:
    """As makers' sites do, whose archives lie elsewhere."""
    server.to = "https://files.example/second"
    with downloads.open_https("https://maker.example/first", 1) as answer:
        assert answer.read() == b"said"


@pytest.mark.parametrize("to", ["http://maker.example/second", "ftp://maker.example/second"])
def test_a_redirection_to_a_plain_address_is_refused(server: Server, to: str) -> None:
    """Anybody on the way could answer there."""
    server.to = to
    with pytest.raises(OSError, match="is not https"):
        downloads.open_https("https://maker.example/first", 1)


def test_a_plain_address_is_not_asked(server: Server) -> None:
    """Not even as the first one."""
    assert server
    with pytest.raises(OSError, match=r"http://maker\.example/second is not https"):
        downloads.open_https("http://maker.example/second", 1)
