"""A full disk is told in three parts, wherever it is met."""

from pathlib import Path
from typing import Any

import pytest
from pulumi import dynamic

from immutable_servers.driver import cli
from immutable_servers.errors import ImmutableError
from immutable_servers.resources.dynamic import Provider

FULL = Path("/dev/full")
"""Every write to it fails as on a full disk (full(4))."""


class Sample(Provider):
    """Writes a file."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Write where the inputs say."""
        Path(props["file"]).write_text("content")
        return dynamic.CreateResult("one", props)


def test_a_provider_tells_it_with_what_to_do(tmp_path: Path) -> None:
    """Any other error of the system is raised as it is, and a file that can be written is."""
    with pytest.raises(ImmutableError, match="No space left on device") as caught:
        Sample().create({"file": str(FULL)})
    assert "Free some space" in caught.value.todo
    assert any("MB are free" in fact for fact in caught.value.facts)
    with pytest.raises(IsADirectoryError):
        Sample().create({"file": str(tmp_path)})
    assert Sample().create({"file": str(tmp_path / "file")}).id == "one"


def test_the_driver_tells_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is nothing to report, and a file for the traceback could not be written either."""
    monkeypatch.setattr(cli, "app", lambda **_options: FULL.write_text("content"))
    assert cli.run(["status"]) == 1
    said = capsys.readouterr().err
    assert "The disk is full: a file could not be written" in said
    assert "What to do: Free some space" in said
    assert "traceback" not in said
