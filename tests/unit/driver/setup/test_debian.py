"""Packages of Debian: found by what they bring, installed with apt."""

import os
from pathlib import Path

import pytest

from immutable_servers.driver.setup import (
    debian,
)
from immutable_servers.errors import SetupError


def test_without_rights_the_one_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not install gets one line to type, with all packages in it."""
    monkeypatch.setattr(debian, "find_rights", lambda: None)
    with pytest.raises(SetupError) as raised:
        debian.install_packages(["haproxy", "mmdebstrap"], lambda _line: None)
    assert raised.value.todo.endswith("sudo apt-get install --yes haproxy mmdebstrap")


def test_commands_in_the_system_s_folders_are_found(tmp_path: Path) -> None:
    """A user's PATH on Debian does not name the folder of haproxy."""
    assert str(tmp_path) in os.environ["PATH"]
    assert debian.find_command("no-such-command") is None
    assert debian.SYSTEM_FOLDERS == ("/usr/sbin", "/sbin")
