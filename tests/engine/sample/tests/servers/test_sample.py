"""The sample's promise: what a server answers does not say that it is broken."""

from pathlib import Path
from typing import Any

from testinfra.host import Host  # type: ignore[import-untyped]

FLEETS = Path(__file__).parents[3] / "world" / "fleets"


def test_app_is_not_broken(host: Host, expected: dict[str, Any]) -> None:
    """A broken application fails its check."""
    assert host.run("true").rc == 0
    service = expected["service"]
    (server, *_) = (FLEETS / f"{service}-{expected['generation']}").glob("server-*")
    assert f"broken-{service}" not in server.read_text()
