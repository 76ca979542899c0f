"""Key pairs for logins."""

from pathlib import Path

import pytest

from immutable_servers.errors import LaunchError, SetupError
from immutable_servers.system.keys import find_or_make_key_pair, make_key_pair


def test_a_pair_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    """Its public half says whose it is, and only this user can read the other."""
    private = tmp_path / "logins/key"
    first = make_key_pair(private, "shop-dev")
    assert first.startswith("ssh-ed25519 ")
    assert first.endswith(" shop-dev")
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    assert make_key_pair(private, "shop-dev") != first


def test_a_pair_that_is_there_is_kept(tmp_path: Path) -> None:
    """Half a pair is none."""
    private = tmp_path / "key"
    first = find_or_make_key_pair(private, "shop-dev")
    assert find_or_make_key_pair(private, "shop-dev") == first
    (tmp_path / "key.pub").unlink()
    assert find_or_make_key_pair(private, "shop-dev") != first


def test_what_keeps_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the tool's words, a missing tool with what to do."""
    tool = tmp_path / "ssh-keygen"
    tool.write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="no room"):
        make_key_pair(tmp_path / "key", "shop-dev")
    tool.unlink()
    with pytest.raises(SetupError, match="ssh-keygen is missing"):
        make_key_pair(tmp_path / "key", "shop-dev")
