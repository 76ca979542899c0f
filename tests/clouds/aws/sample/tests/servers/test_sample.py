"""The sample's promise: an application without a file named `broken`."""

from pathlib import Path
from typing import Any

from testinfra.host import Host  # type: ignore[import-untyped]

APP = Path(__file__).parents[2] / "app"


def test_app_is_not_broken(host: Host, expected: dict[str, Any]) -> None:
    """A broken application fails its check."""
    assert host.run("true").rc == 0
    assert not (APP / f"broken-{expected['service']}").exists()
