"""Short tools: what is said when one fails."""

import shutil
from types import SimpleNamespace

import pytest

from immutable_servers.errors import ImmutableError, LaunchError, SetupError
from immutable_servers.system.tools import run_tool


def test_a_tool_that_fails_says_why() -> None:
    """Its own words are the facts; a missing one has its package named by doctor."""
    with pytest.raises(LaunchError, match="It did not start") as failed:
        run_tool(["sh", "-c", "echo no >&2; exit 1"], "It did not start")
    assert failed.value.facts == ("no",)
    with pytest.raises(SetupError, match="no-such-tool is missing"):
        run_tool(["no-such-tool"], "It did not start")


def test_a_tool_that_fails_on_a_full_disk_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU only says that it could not write its pid file."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    with pytest.raises(ImmutableError, match="The disk is full") as full:
        run_tool(["false"], "It did not start")
    assert "Free some space" in full.value.todo
    assert full.value.facts[0] == "It did not start"
