"""Opens addresses of the web, and never without encryption."""

import urllib.error
import urllib.request
from http.client import HTTPMessage, HTTPResponse
from typing import IO


class HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to another https address alone."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request.

        Raises:
            URLError: It would go to a plain address, which anybody on the way can answer.
        """
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str, seconds: float) -> HTTPResponse:
    """Open an https address, waiting at most `seconds` for each step.

    Raises:
        OSError: It cannot be reached, or it or a redirection is not https.
    """
    _require_https(url)
    answer: HTTPResponse = urllib.request.build_opener(HttpsOnly).open(url, timeout=seconds)
    return answer


def _require_https(url: str) -> None:
    if not url.startswith("https://"):
        raise urllib.error.URLError(f"{url} is not https")
