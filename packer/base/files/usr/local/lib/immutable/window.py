"""Decides for how long logins may be open, and keeps on the disk what a reboot must not forget.

The window of the launch data is a time of the wall clock, which its launcher may have had wrong and
which may step back here. So it is capped, counted from the first boot, and closed for good.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MEMORY = Path("/var/lib/immutable")
"""On the disk, which is this server's own: no image is made of it."""
WINDOW = "window.json"
MOST = 30 * 60.0
"""Seconds for which a server takes logins at most, whatever its launch data says."""

LaunchData = Mapping[str, Any]


def find_seconds(launch: LaunchData, now: float) -> float:
    """Return for how many seconds from now logins may be open; 0 or less is not at all.

    What the disk says of another key's window is left by a bake, and counts for nothing.

    Args:
        launch: The launch data. Only a bake's guest, which serves nobody, has `bake_seconds`.
        now: Seconds since the epoch.

    Raises:
        ValueError: What the disk says cannot be read, so nothing may be opened.
    """
    if not launch.get("login_key"):
        return 0.0
    most = float(launch.get("bake_seconds") or MOST)
    left = min(float(launch.get("window_ends") or 0) - now, most)
    known = _read()
    if known.get("key") != launch["login_key"]:
        return left
    passed = now - float(known["opened_at"])
    return 0.0 if known["closed"] or passed < 0 else min(left, most - passed)


def remember_opened(launch: LaunchData, now: float) -> None:
    """Note when the window was opened first; a bake's is not, since its disk becomes an image."""
    if launch.get("bake_seconds") or _read().get("key") == launch["login_key"]:
        return
    _write({"key": launch["login_key"], "opened_at": now, "closed": False})


def remember_closed() -> None:
    """Note that the window is closed for good; a server that had none needs no note."""
    known = _read()
    if known:
        _write({**known, "closed": True})


def _read() -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads((MEMORY / WINDOW).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return known


def _write(known: Mapping[str, Any]) -> None:
    """Write the note so that a power cut leaves the old one or this one."""
    MEMORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = MEMORY / f"{WINDOW}.new"
    with beside.open("w", encoding="utf-8") as file:
        file.write(json.dumps(known) + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(MEMORY / WINDOW)
    folder = os.open(MEMORY, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
