"""Makes the clients of Google's APIs, each once, and connections that threads take in turn.

Endpoints and credentials are those of the provider: its variables hold for both.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

from immutable_servers.targets.cloud.faults import make_without_sdk

APIS: Mapping[str, tuple[str, str]] = {
    "compute": ("v1", "GOOGLE_COMPUTE_CUSTOM_ENDPOINT"),
    "iam": ("v1", "GOOGLE_IAM_CUSTOM_ENDPOINT"),
    "monitoring": ("v3", "GOOGLE_MONITORING_CUSTOM_ENDPOINT"),
    "serviceusage": ("v1", "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT"),
    "cloudresourcemanager": ("v1", "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT"),
}
"""The version whose document comes with the SDK, and the provider's variable for another endpoint,
which ends in the version and a slash.
https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference"""
TOKEN = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105 - the provider's name for a variable
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SECONDS = 150
"""A wait for an operation takes two minutes at most."""


@cache
def find_client(name: str) -> tuple[Mapping[str, Any], Any]:
    """Return Google's own description of an API, and what calls are made by, from any thread.

    Raises:
        SetupError: The SDK is not here.
    """
    try:
        import httplib2  # noqa: PLC0415 - stacks on other targets do without
        from googleapiclient.discovery import build_from_document  # noqa: PLC0415
        from googleapiclient.discovery_cache import get_static_doc  # noqa: PLC0415
    except ImportError as error:
        raise make_without_sdk("gcp", error) from error
    for noisy in ("googleapiclient", "google.auth"):  # what they warn of is told as an error
        logging.getLogger(noisy).setLevel(logging.ERROR)
    version, variable = APIS[name]
    document = json.loads(get_static_doc(name, version))
    endpoint = os.environ.get(variable, "")
    if not document["servicePath"]:
        endpoint = endpoint.removesuffix(f"{version}/")
    options = {"api_endpoint": endpoint}  # an empty one is Google's own
    service = build_from_document(document, http=httplib2.Http(), client_options=options)
    return document, service


@cache
def find_credentials() -> Any:  # noqa: ANN401 - google-auth's
    """Return the token in the provider's variable, or else what google-auth finds."""
    if token := os.environ.get(TOKEN):
        from google.oauth2.credentials import Credentials  # noqa: PLC0415 - only for Google

        return Credentials(token)
    import google.auth  # noqa: PLC0415 - only for Google

    return google.auth.default(scopes=[SCOPE])[0]


@cache
def _find_idle() -> SimpleQueue[Any]:
    return SimpleQueue()


@contextmanager
def take_connection() -> Iterator[Any]:
    """Lend a connection to one call; a connection serves one thread at a time.

    https://github.com/googleapis/google-api-python-client/blob/main/docs/thread_safety.md
    """
    idle = _find_idle()
    try:
        connection = idle.get_nowait()
    except Empty:
        import google_auth_httplib2  # noqa: PLC0415 - only for Google
        import httplib2  # noqa: PLC0415
        from googleapiclient.http import set_user_agent  # noqa: PLC0415

        http = set_user_agent(httplib2.Http(timeout=SECONDS), "immutable-servers")
        credentials = find_credentials()
        # A token that nothing renews has ended when Google says so, in Google's words.
        kept = {"refresh_status_codes": ()} if os.environ.get(TOKEN) else {}
        connection = google_auth_httplib2.AuthorizedHttp(credentials, http=http, **kept)
    try:
        yield connection
    finally:
        idle.put(connection)


def forget_clients() -> None:
    """Make clients anew when they are needed next: credentials or endpoints have changed."""
    find_client.cache_clear()
    find_credentials.cache_clear()
    _find_idle.cache_clear()
