"""Hands Packer the credentials that our SDK finds, so that both act as one and the same caller.

The plugin (v1.3.2) is on an older SDK, which knows no `aws login`, and takes keys of the
environment before the profile that the settings name. Every SDK takes credentials from an address
on the same machine, and asks there again before they expire, as a bake may outlive them:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from immutable_servers.errors import ImmutableError, SetupError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.faults import explain

LASTS = 600.0
"""Seconds for which what botocore hands out is good at least: it refreshes earlier than that
(`RefreshableCredentials`)."""
OTHERS = (
    *("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
    *("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""Variables by which an SDK would find credentials by itself."""
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@contextmanager
def start_credentials(api: Api) -> Iterator[Mapping[str, str]]:
    """Yield the environment in which an SDK finds our credentials, while the block lasts."""
    token = secrets.token_urlsafe(32)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(api, token))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            **dict.fromkeys(OTHERS, ""),
            **dict.fromkeys(FILES, os.devnull),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make_handler(api: Api, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers who knows the token."""

        def do_GET(self) -> None:
            """Answer as the service of a container does."""
            if not secrets.compare_digest(self.headers.get("Authorization", ""), token):
                self._answer(
                    HTTPStatus.FORBIDDEN, {"code": "Forbidden", "message": "another token"}
                )
                return
            try:
                found = find_keys(api)
            except ImmutableError as error:
                self._answer(
                    HTTPStatus.INTERNAL_SERVER_ERROR, {"code": "Credentials", "message": error.what}
                )
                return
            ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LASTS))
            self._answer(HTTPStatus.OK, {**found, "Expiration": ends})

        def _answer(self, code: HTTPStatus, content: Mapping[str, str]) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Print nothing."""

    return Handler


def find_keys(api: Api) -> Mapping[str, str]:
    """Return what signs our calls, under the names of a container's service.

    Raises:
        SetupError: There are none, or they cannot be renewed.
    """
    from botocore.exceptions import (  # noqa: PLC0415 - only when AWS is asked
        BotoCoreError,
        ClientError,
        NoCredentialsError,
    )

    try:
        found = api.find_credentials()
        if found is None:
            raise NoCredentialsError
        keys = found.get_frozen_credentials()
    except (BotoCoreError, ClientError, RuntimeError) as error:
        raise explain(error, "sts", "get_caller_identity", api.region, SetupError) from error
    return {
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.token or "",
    }
