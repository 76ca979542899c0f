"""The launch data that a server is handed, and acts on at each boot (see `packer/base`)."""

import json
import time
from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError

OPENING = ("login_key", "inspection_key", "window_ends")
"""The keys that open a server."""
BESIDE_ENV = 2048
"""Bytes that names, keys and the window of launch data take at most."""


def describe_launch(
    scope: Scope,
    env: Mapping[str, str],
    login_key: str,
    window_ends: int,
    *,
    inspection_key: str = "",
    server: str = "",
    header: bool = True,
) -> dict[str, Any]:
    """Return the launch data of a server, or of all servers of a generation.

    Args:
        scope: The generation's.
        env: What its service reads at its start.
        login_key: OpenSSH public key of the verifier; empty is sealed.
        window_ends: When the keys end, in seconds since the epoch; 0 is sealed.
        inspection_key: OpenSSH public key of people, whose logins the server remembers.
        server: Its name; empty where one text is handed to all, and each adds its own name.
        header: Its answers name the generation, as they do where launch data says nothing of it.
    """
    name = {"server": server} if server else {}
    people = {"inspection_key": inspection_key} if inspection_key else {}
    silent = {} if header else {"generation_header": False}
    return {
        **name,
        **people,
        **silent,
        "service": scope.service,
        "generation": scope.generation,
        "login_key": login_key,
        "window_ends": window_ends,
        "env": dict(env),
    }


def describe_bake(version: str, login_key: str, seconds: float) -> dict[str, Any]:
    """Return the launch data of a bake's guest, which is open to the bake's key until it ends.

    A server takes logins for `LOGIN_WINDOW` at most; a bake may last longer.
    """
    scope = Scope("", "", "bake", version)
    launch = describe_launch(scope, {}, login_key, int(time.time() + seconds), server="bake")
    return {**launch, "bake_seconds": int(seconds)}


def render_launch(data: Mapping[str, Any]) -> str:
    """Return launch data as text: the same for the same data."""
    return json.dumps(data, sort_keys=True)


def check_env(env: Mapping[str, str], most: int) -> None:
    """Refuse an `env` that does not fit into launch data of `most` bytes.

    Raises:
        SettingsError: It does not.
    """
    size, room = len(render_launch(env).encode()), most - BESIDE_ENV
    if size > room:
        raise SettingsError(
            "The launch data cannot carry this env", facts=[f"{size} bytes of JSON, at most {room}"]
        )


def seal_launch(text: str) -> str:
    """Return rendered launch data without what opens a server.

    Raises:
        ValueError: The text is no launch data.
    """
    data: dict[str, Any] = json.loads(text)
    return render_launch({key: value for key, value in data.items() if key not in OPENING})
