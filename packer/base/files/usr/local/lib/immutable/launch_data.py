"""Reads what this server was handed at its launch: one JSON document, from the first source of one.

A new kind of machine is one more function in `SOURCES`. Only the standard library is at hand here.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CREDENTIALS = Path("/run/credentials/@system")
"""Where systemd keeps what the machine's firmware handed it (systemd.exec(5), CREDENTIALS)."""

LaunchData = Mapping[str, Any]


def read_credentials() -> LaunchData | None:
    """Return the launch data of a QEMU machine, with its host key when there is one."""
    document = CREDENTIALS / "immutable.launch"
    if not document.exists():
        return None
    launch = json.loads(document.read_text(encoding="utf-8"))
    host_key = CREDENTIALS / "immutable.host-key"
    return {**launch, "host_key": host_key.read_text()} if host_key.exists() else launch


SOURCES: tuple[Callable[[], LaunchData | None], ...] = (read_credentials,)
"""Asked in this order; the first answer counts."""


def find_launch_data() -> LaunchData:
    """Return the launch data, empty when no source has any: such a server boots sealed."""
    for read in SOURCES:
        launch = read()
        if launch is not None:
            return launch
    return {}
