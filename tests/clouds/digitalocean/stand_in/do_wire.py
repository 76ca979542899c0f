"""Asks DigitalOcean's API as the official plugin does: retries, actions, errors in godo's words."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import tenacity
from shared_wire import Values

PUBLIC = "https://api.digitalocean.com"
ENDPOINT = "DIGITALOCEAN_API_URL"
TOKENS = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
POLL_SECONDS = 0.1
"""Between looks; upstream's first look comes after 10 s, the next ones each 3 s."""
WAIT_SECONDS = 60.0
"""How long anything is waited for; upstream gives a droplet 60 minutes."""
ATTEMPTS = 5
"""Upstream's `http_retry_max` is 4 tries more."""
GONE = 404
MANY = 429
BROKEN = 500

Found = TypeVar("Found")


class ApiError(Exception):
    """What the API refused.

    Attributes:
        code: Of HTTP.
    """

    def __init__(self, asked: str, code: int, message: str) -> None:
        """Say it as godo does.

        https://github.com/digitalocean/godo/blob/v1.201.0/godo.go (ErrorResponse.Error)
        """
        super().__init__(f"{asked}: {code} {message}")
        self.code = code

    @property
    def passes(self) -> bool:
        """Whether upstream asks again."""
        return self.code == MANY or self.code >= BROKEN


class ActionError(Exception):
    """An action that ended with an error."""


@dataclass(frozen=True)
class Wire:
    """The API, as a provider's settings reach it.

    Attributes:
        base: Where it answers, without `/v2`.
        token: Who asks.
        agent: What asks.
    """

    base: str
    token: str
    agent: str

    def find(self, path: str) -> Values | None:
        """Return an answer; None when there is no such thing."""
        try:
            return self.send("GET", path)
        except ApiError as error:
            if error.code == GONE:
                return None
            raise

    def find_all(self, path: str) -> list[Values]:
        """Return all things of a collection, page by page."""
        root, found, page = path.rpartition("/")[2], [], 0
        while True:
            page += 1
            answer = self.send("GET", f"{path}?page={page}&per_page=200")
            found += answer[root]
            if "next" not in ((answer.get("links") or {}).get("pages") or {}):
                return found

    def act(self, path: str, actions: str, **body: object) -> None:
        """Have an action be done, and wait until it is.

        Args:
            path: Where it is asked for.
            actions: Where it can be looked at.
            body: Its type, and words of it.

        Raises:
            ActionError: It came to nothing.
        """
        action = self.send("POST", path, body)["action"]
        done = wait_for(
            lambda: self.send("GET", f"{actions}/{action['id']}")["action"],
            lambda found: found["status"] != "in-progress",
        )
        if done["status"] != "completed":
            message = f"Error waiting for action ({action['id']}) to finish: {done['status']}"
            raise ActionError(message)

    def send(self, verb: str, path: str, body: Mapping[str, object] | None = None) -> Values:
        """Ask once, and again where upstream does."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=tenacity.wait_exponential(0.2, max=5),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        return attempts(self._ask, verb, path, body)

    def _ask(self, verb: str, path: str, body: Mapping[str, object] | None) -> Values:
        url = f"{self.base}/v2/{path}"
        request = urllib.request.Request(  # noqa: S310 - https, or this machine
            url,
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": self.agent,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - the same
                found: Values = json.loads(answer.read() or b"{}")
                return found
        except urllib.error.HTTPError as error:
            raise ApiError(f"{verb} {url}", error.code, _read_message(error)) from error


def wait_for(look: Callable[[], Found], is_done: Callable[[Found], bool]) -> Found:
    """Look until it is done, and return the last look."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: not is_done(found)),
        wait=tenacity.wait_fixed(POLL_SECONDS),
        stop=tenacity.stop_after_delay(WAIT_SECONDS),
    )
    return attempts(look)


def find_token(settings: Mapping[str, object]) -> str:
    """Return the token: of the settings, else of the environment; empty where there is none."""
    named = (os.environ.get(name, "") for name in TOKENS)
    return str(settings.get("token") or next(filter(None, named), ""))


def find_base(settings: Mapping[str, object]) -> str:
    """Return where the API answers."""
    found = settings.get("apiEndpoint") or os.environ.get(ENDPOINT) or PUBLIC
    return str(found).rstrip("/")


def _passes(error: BaseException) -> bool:
    lost = isinstance(error, (ConnectionError, http.client.HTTPException))
    return lost or (isinstance(error, ApiError) and error.passes)


def _read_message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError):
        return str(error.reason)
