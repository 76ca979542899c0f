"""`update`: what it needs before it looks for newer upstreams."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from immutable_servers.driver import cli
from immutable_servers.driver.commands import update
from immutable_servers.driver.setup import debian
from immutable_servers.driver.terminal import console
from immutable_servers.targets.local.needs import MMDEBSTRAP


def test_update_sets_up_first_what_it_looks_with(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh machine, such as the weekly job's, has no mmdebstrap yet; a no ends it there."""
    for folder in ("packer/base", "tests/servers"):
        (project / folder).mkdir(parents=True)
    web = {"image": "base", "servers": 1, "port": 80, "route": {"port": 8080}}
    values = {"target": "local", "images": {"base": {}}, "services": {"web": web}}
    config = {f"shop:{key}": value for key, value in values.items()}
    (project / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))
    missing = replace(debian.make_part(MMDEBSTRAP), find=lambda: None)
    monkeypatch.setattr(update, "list_upstream_parts", lambda _target: [missing])
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert cli.run(["update"]) == 3
    assert "mmdebstrap: sudo apt-get install mmdebstrap" in capsys.readouterr().err


def test_what_changed_of_a_lock_is_said_line_by_line() -> None:
    """Also below the first level, each line with what was and what is."""
    before = {"suite": "trixie", "signed": {"trixie": {"date": "1"}}}
    after = {"suite": "trixie", "signed": {"trixie": {"date": "2"}, "extra": {"date": "3"}}}
    assert list(update.compare(before, after)) == [
        "signed extra date not set -> 3",
        "signed trixie date 1 -> 2",
    ]
    assert list(update.compare({"suite": "trixie"}, {})) == ["suite trixie -> not set"]
