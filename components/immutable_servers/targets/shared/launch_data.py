"""The launch data that a server is handed, and acts on at each boot (see `packer/base`)."""

import json
import time
from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Scope

OPENING = ("login_key", "window_ends")
"""The keys that open a server."""


def describe_launch(
    scope: Scope, env: Mapping[str, str], login_key: str, window_ends: int, *, server: str = ""
) -> dict[str, Any]:
    """Return the launch data of a server, or of all servers of a generation.

    Args:
        scope: The generation's.
        env: What its service reads at its start.
        login_key: OpenSSH public key; empty is sealed.
        window_ends: When the key ends, in seconds since the epoch; 0 is sealed.
        server: Its name; empty where one text is handed to all, and each adds its own name.
    """
    name = {"server": server} if server else {}
    return {
        **name,
        "service": scope.service,
        "generation": scope.generation,
        "login_key": login_key,
        "window_ends": window_ends,
        "env": dict(env),
    }


def describe_bake(version: str, login_key: str, seconds: float) -> dict[str, Any]:
    """Return the launch data of a bake's guest, which is open to the bake's key until it ends."""
    scope = Scope("", "", "bake", version)
    return describe_launch(scope, {}, login_key, int(time.time() + seconds), server="bake")


def render_launch(data: Mapping[str, Any]) -> str:
    """Return launch data as text: the same for the same data."""
    return json.dumps(data, sort_keys=True)


def seal_launch(text: str) -> str:
    """Return rendered launch data without what opens a server.

    Raises:
        ValueError: The text is no launch data.
    """
    data: dict[str, Any] = json.loads(text)
    return render_launch({key: value for key, value in data.items() if key not in OPENING})
