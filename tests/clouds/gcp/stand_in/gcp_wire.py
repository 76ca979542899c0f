"""Asks Google's API as the official plugin does: retries, operations, errors in its words."""

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tenacity
from shared_wire import Values

PUBLIC = {
    "compute": "https://compute.googleapis.com/compute/beta/",
    "iam": "https://iam.googleapis.com/v1/",
}
TOKEN = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105 - a variable's name
POLL_SECONDS = 0.1
"""Between looks at an operation; upstream's 10 s are made for operations that take minutes."""
RETRY_SECONDS = 60.0
PASSING = frozenset(
    ("operationInProgress", "rateLimitExceeded", "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED")
)
PASSING_CODES = frozenset((429, 500, 502, 503))
GONE = 404


class GoogleError(Exception):
    """What the API refused.

    Attributes:
        code: Of HTTP.
        reason: The API's word.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        """Say it as upstream does."""
        super().__init__(f"googleapi: Error {code}: {message}, {reason}")
        self.code, self.reason = code, reason

    @property
    def passes(self) -> bool:
        """Whether upstream asks again."""
        many = "Quota exceeded" in str(self) and "per minute" in str(self)
        return self.code in PASSING_CODES or self.reason in PASSING or many


class OperationError(Exception):
    """An operation that ended with an error."""


@dataclass(frozen=True)
class Wire:
    """One service of the API, as a provider's settings reach it.

    Attributes:
        base: Where it answers, with a slash at its end.
        agent: Who asks.
        project: Where things are made.
        region: The same.
        labels: What the plugin adds to the labels of each thing.
    """

    base: str
    agent: str
    project: str
    region: str
    labels: Mapping[str, str]

    def find(self, path: str, **query: str) -> Values | None:
        """Return a thing; None when there is none."""
        try:
            return self.send("GET", path, None, **query)
        except GoogleError as error:
            if error.code == GONE:
                return None
            raise

    def operate(self, verb: str, path: str, body: Values | None = None, **query: str) -> None:
        """Have something done, and wait until it is.

        Raises:
            OperationError: It came to nothing.
        """
        operation = self.send(verb, path, body, **query)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda found: found["status"] != "DONE"),
            wait=tenacity.wait_fixed(POLL_SECONDS),
        )
        place = path.partition("/regions/")[2].partition("/")[0]
        folder = f"regions/{place}" if place else "global"
        name = f"projects/{path.split('/')[1]}/{folder}/operations/{operation['name']}"
        done: Values = attempts(self.send, "GET", name)
        if done.get("error"):
            said = "; ".join(f"{e['code']}: {e.get('message')}" for e in done["error"]["errors"])
            message = f"Error waiting for {verb} {path}: {said}"
            raise OperationError(message)

    def send(self, verb: str, path: str, body: Values | None = None, **query: str) -> Values:
        """Ask once, and again where upstream does."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=tenacity.wait_exponential(0.2, max=5),
            stop=tenacity.stop_after_delay(RETRY_SECONDS),
            reraise=True,
        )
        return attempts(self._ask, verb, path, body, query)

    def _ask(self, verb: str, path: str, body: Values | None, query: Mapping[str, str]) -> Values:
        words = urllib.parse.urlencode({"alt": "json", **query})
        request = urllib.request.Request(  # noqa: S310 - https, or this machine
            f"{self.base}{path}?{words}",
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {_find_token()}",
                "Content-Type": "application/json",
                "User-Agent": self.agent,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - the same
                found: Values = json.loads(answer.read() or b"{}")
                return found
        except urllib.error.HTTPError as error:
            raise _read_error(error) from error


def _find_token() -> str:
    """Return the token.

    Raises:
        PermissionError: There is none.
    """
    if token := os.environ.get(TOKEN, ""):
        return token
    message = (
        "Attempted to load application default credentials since neither `credentials` nor"
        " `access_token` was set in the provider block.  No credentials loaded."
    )
    raise PermissionError(message)


def find_base(service: str) -> str:
    """Return where a service answers.

    The package is made of the provider for beta, which speaks it with Google: so does this one.
    """
    own = os.environ.get(f"GOOGLE_{service.upper()}_CUSTOM_ENDPOINT", "")
    return own.replace("/compute/v1/", "/compute/beta/") or PUBLIC[service]


def _passes(error: BaseException) -> bool:
    lost = isinstance(error, (ConnectionError, http.client.HTTPException))
    return lost or (isinstance(error, GoogleError) and error.passes)


def _read_error(error: urllib.error.HTTPError) -> GoogleError:
    try:
        said: Mapping[str, Any] = json.loads(error.read())["error"]
    except (ValueError, KeyError):
        return GoogleError(error.code, str(error.reason), "the answer is not JSON")
    reasons = [one.get("reason", "") for one in said.get("errors", ())]
    return GoogleError(error.code, next(iter(reasons), ""), str(said.get("message")))
