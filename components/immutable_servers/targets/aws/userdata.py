"""What a server is handed at its launch, as EC2 user data (see `packer/base`)."""

import base64
import json
from typing import Any

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import LaunchError, make_left_out

MOST_BYTES = 16 * 1024
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""

OPENING = ("login_key", "window_ends")
"""What of the launch data opens a server."""


def render_user_data(scope: Scope, launch: Launch, public_key: str | None, ends: int | None) -> str:
    """Return the launch data of every server of a generation, as JSON.

    A server adds its own name. Servers that are launched when the window is over boot sealed.

    Raises:
        ImmutableError: The run leaves out what makes key and window.
        LaunchError: It is too large.
    """
    if not public_key or not ends:
        raise make_left_out("missing: the login key or its window")
    data: dict[str, Any] = {
        "service": scope.service,
        "generation": scope.generation,
        "login_key": public_key,
        "window_ends": int(ends),
        "env": dict(launch.env),
    }
    text = json.dumps(data, sort_keys=True)
    if len(text) > MOST_BYTES:
        raise LaunchError(
            "The launch data does not fit into EC2 user data",
            facts=[f"{len(text)} bytes, at most {MOST_BYTES}"],
            todo="Make `env` of the service smaller.",
        )
    return text


def seal_user_data(encoded: str) -> str:
    """Return launch data without key and window, in base64 as it came; the same when it has none.

    Raises:
        LaunchError: It is not ours.
    """
    try:
        data: dict[str, Any] = json.loads(base64.b64decode(encoded))
    except ValueError as error:
        raise LaunchError(
            "The user data of the launch template is not what the generation was launched with",
            facts=[str(error)],
            todo="Somebody changed the launch template by hand: ./immutable replace makes a new"
            " generation.",
        ) from error
    if "login_key" not in data:
        return encoded
    sealed = {key: value for key, value in data.items() if key not in OPENING}
    return encode(json.dumps(sealed, sort_keys=True))


def encode(text: str) -> str:
    """Return user data as a launch template takes it, in base64."""
    return base64.b64encode(text.encode()).decode()
