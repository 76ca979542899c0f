"""The key pair of a generation: made once, found again, deleted with what belongs to it."""

import shutil
from pathlib import Path

import pytest

from immutable_servers.targets.shared.login_keys import (
    delete_key,
    find_inspection,
    make_key,
    note_inspection,
)

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is missing")


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """A launch that was killed finds the key again; only this user reads it."""
    folder = tmp_path / "web-1"
    public = make_key(folder, "web-1")
    assert public.startswith("ssh-ed25519 ")
    assert public.endswith(" web-1")
    assert make_key(folder, "another comment") == public
    assert (folder / "key").stat().st_mode & 0o077 == 0


def test_a_login_that_was_given_out_is_known(tmp_path: Path) -> None:
    """Its use is known with its time; a verifier's key alone is one that was given out before."""
    make_key(tmp_path / "inspection", "people")
    make_key(tmp_path, "web-1")
    assert find_inspection(tmp_path) == ""
    (tmp_path / "inspection" / "used").write_text("2026-11-28T12:03:04Z\n2026-11-28T12:09:00Z\n")
    assert find_inspection(tmp_path) == "somebody used its login at 2026-11-28T12:03:04Z"
    delete_key(tmp_path)
    assert not tmp_path.exists()
    assert find_inspection(tmp_path) == ""
    note_inspection(tmp_path)
    assert find_inspection(tmp_path) == "somebody used its login"
    delete_key(tmp_path)
    make_key(tmp_path, "web-1")
    assert find_inspection(tmp_path) == "an earlier program gave its only login to people"


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    """A run that died between the halves leaves no key that fits nothing."""
    before = make_key(tmp_path, "web-1")
    (tmp_path / "key").unlink()
    assert make_key(tmp_path, "web-1") != before


def test_a_deleted_key_leaves_nothing(tmp_path: Path) -> None:
    """Settings and logs of its logins go with it; what else is in the folder stays."""
    folder = tmp_path / "web-1"
    make_key(folder, "web-1")
    for name in ("ssh_config", "known_hosts", "ssh-web-1-0.log"):
        (folder / name).touch()
    delete_key(folder)
    assert not folder.exists()
    delete_key(folder)
    make_key(folder, "web-1")
    (folder / "record.json").touch()
    delete_key(folder)
    assert [file.name for file in folder.iterdir()] == ["record.json"]
