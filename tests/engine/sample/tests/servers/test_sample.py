"""The sample's promise: what a server answers does not say that it is broken."""

from pathlib import Path
from typing import Any

from testinfra.host import Host  # type: ignore[import-untyped]

PROJECT = next(path.parent for path in Path(__file__).parents if path.name == ".immutable")
"""Checks run from a copy that lies in there."""
WORLD = PROJECT.parent / "world"


def test_app_is_not_broken(host: Host, expected: dict[str, Any]) -> None:
    """A broken application fails its check."""
    assert host.run("true").rc == 0
    service = expected["service"]
    name = f"{service}-{expected['generation']}"
    probe, fleet = WORLD / "probes" / name, WORLD / "fleets" / name
    server = probe if expected["server"] == "probe" else next(fleet.glob("server-*"))
    assert f"broken-{service}" not in server.read_text()
