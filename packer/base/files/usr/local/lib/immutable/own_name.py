"""Gives this server the name that its launch data says, in the place of its image's."""

# ruff: noqa: INP001 - a folder on the server, not a package

from collections.abc import Mapping
from pathlib import Path
from typing import Any

KERNEL = Path("/proc/sys/kernel/hostname")
HOSTNAME = Path("/etc/hostname")
"""Read by systemd at the next boot; while it is there, no answer of a DHCP server counts."""
HOSTS = Path("/etc/hosts")
OWN = "127.0.1.1"
"""Debian's address for a machine's own name (hosts(5)): programs look up their own name."""


def take_name(launch: Mapping[str, Any]) -> None:
    """Set the host name on this server's own disk; a bake's guest, whose disk is kept, has none."""
    name = str(launch.get("server") or "")
    if not name or launch.get("bake_seconds"):
        return
    kept = [line for line in _read_lines(HOSTS) if line.split()[:1] != [OWN]]
    HOSTS.write_text("".join(f"{line}\n" for line in [*kept, f"{OWN} {name}"]), encoding="utf-8")
    HOSTNAME.write_text(f"{name}\n", encoding="utf-8")
    KERNEL.write_text(name, encoding="utf-8")


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ["127.0.0.1 localhost", "::1 localhost"]
