"""The floors of the house, as `pyproject.toml` draws them."""

import pytest
from importlinter import cli

from harness.checkout import ROOT


def test_every_module_imports_only_what_lies_below_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No arrow runs against the floors, no target knows a sibling, and there is no circle."""
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert code == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out
