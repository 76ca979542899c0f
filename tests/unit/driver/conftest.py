"""A project of a user who is not logged in."""

import os
from pathlib import Path

import pytest

from immutable_servers.driver.project.files import ROOT_VARIABLE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two stacks, for a user who is not logged in."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    for name in ("dev", "prod"):
        (tmp_path / f"Pulumi.{name}.yaml").write_text("config:\n  shop:target: local\n")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("PULUMI_"):
            monkeypatch.delenv(name)
    return tmp_path
