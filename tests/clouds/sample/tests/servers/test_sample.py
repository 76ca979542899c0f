"""The sample's promise: an application without a file named `broken`."""

from pathlib import Path
from typing import Any

from testinfra.host import Host  # type: ignore[import-untyped]

PROJECT = next(path.parent for path in Path(__file__).parents if path.name == ".immutable")
"""Checks run from a copy that lies in there."""
APP = PROJECT / "app"


def test_app_is_not_broken(host: Host, expected: dict[str, Any]) -> None:
    """A broken application fails its check."""
    assert host.run("true").rc == 0
    assert not (APP / f"broken-{expected['service']}").exists()
