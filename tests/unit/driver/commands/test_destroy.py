"""`destroy`: what it needs before it says what would be lost."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from immutable_servers.driver import cli
from immutable_servers.driver.commands import destroy
from immutable_servers.driver.setup import debian
from immutable_servers.driver.terminal import console
from immutable_servers.targets.local.needs import MMDEBSTRAP


def test_destroy_sets_up_first_what_it_asks_with(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a fresh machine nothing can say yet what is lost, so nobody is asked about it."""
    config = {"config": {"shop:target": "local"}}
    (project / "Pulumi.dev.yaml").write_text(json.dumps(config))
    missing = replace(debian.make_part(MMDEBSTRAP), find=lambda: None)
    monkeypatch.setattr(destroy, "list_asking_parts", lambda _target: [missing])
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert cli.run(["destroy"]) == 3
    said = capsys.readouterr().err
    assert "Install them now?" in said
    assert "Delete every server" not in said
