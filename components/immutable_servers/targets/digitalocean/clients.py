"""Makes pydo's client once; token and endpoint are those of the provider and of Packer."""

import os
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from immutable_servers.errors import SetupError
from immutable_servers.targets.cloud.faults import make_without_sdk

TOKENS = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
URL = "DIGITALOCEAN_API_URL"
ENDPOINT = "https://api.digitalocean.com"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECONDS = 60


@cache
def find_client() -> Any:  # noqa: ANN401 - pydo's
    """Return what calls are made by, from any thread.

    Raises:
        SetupError: The SDK or the token is not here, or the token would be sent in the clear.
    """
    try:
        from azure.core.pipeline import policies  # noqa: PLC0415 - stacks on others do without
        from pydo import Client  # noqa: PLC0415
    except ImportError as error:
        raise make_without_sdk("digitalocean", error) from error
    token = next(filter(None, map(os.environ.get, TOKENS)), "")
    if not token:
        raise SetupError(
            "There is no DigitalOcean token",
            todo=f"Set {TOKENS[0]}; docs/how-to/digitalocean.md lists the scopes that it needs.",
        )
    endpoint = os.environ.get(URL) or ENDPOINT
    if urlsplit(endpoint).scheme != "https" and urlsplit(endpoint).hostname not in LOOPBACK:
        raise SetupError(
            "The DigitalOcean token would be sent without encryption",
            facts=[f"{URL} is {endpoint}"],
            todo=f"Set {URL} to an https address, or unset it.",
        )

    class Token(policies.SansIOHTTPPolicy):  # type: ignore[misc]
        """Sends the token; azure's own policy refuses plain http, on loopback too."""

        def on_request(self, request: Any) -> None:  # noqa: ANN401 - azure's
            request.http_request.headers["Authorization"] = f"Bearer {token}"

    class Again(policies.RetryPolicy):  # type: ignore[misc]
        """Makes a change again only when it was slowed down: a lost answer may have made it."""

        def is_retry(self, settings: Any, response: Any) -> Any:  # noqa: ANN401 - azure's
            answer = response.http_response
            if answer.request.method == "POST" and answer.status_code != 429:  # noqa: PLR2004
                return False
            changed = {**settings, "methods": frozenset({*settings["methods"], "POST"})}
            return super().is_retry(changed, response)

    return Client(
        token,
        endpoint=endpoint.rstrip("/"),
        timeout=SECONDS,
        user_agent="immutable-servers",
        authentication_policy=Token(),
        retry_policy=Again(),
    )
