"""Finds the services that an image brings on top of the base.

Whoever waits for a server reads on its console what systemd says of its units. It has to know which
of them are the image's own, and which of those systemd starts again after a failure.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNITS = Path("/etc/systemd/system")
BASE = Path("/etc/immutable/base-units")
"""Names of the services that the base has, enabled or not; its bake writes it last."""


def describe_own_units() -> str:
    """Return such as `app.service=always`: each enabled own service with its `Restart=`.

    Empty for a base that does not say which are its own.
    """
    try:
        return " ".join(_describe(set(BASE.read_text(encoding="utf-8").split())))
    except FileNotFoundError:
        return ""


def _describe(known: set[str]) -> Iterator[str]:
    links = {link.name: link for link in UNITS.glob("*.*/*.service") if _is_enabled_by(link.parent)}
    for name, link in sorted(links.items()):
        if name not in known:
            yield f"{name}={_find_restart(link)}"


def _is_enabled_by(folder: Path) -> bool:
    return folder.suffix in {".wants", ".requires"}


def _find_restart(link: Path) -> str:
    """Return the last `Restart=` of the unit's file and drop-ins (systemd.service(5))."""
    found = "no"
    for file in (link, *sorted((UNITS / f"{link.name}.d").glob("*.conf"))):
        with suppress(OSError):  # a link whose unit is not there
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                name, _, value = line.partition("=")
                if name.strip() == "Restart":
                    found = value.strip() or "no"
    return found
