"""Writers of whole files."""

import os
from pathlib import Path

import pytest

from immutable_servers.system.files import read_json, write_json, write_whole


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a record is the old one or the new one, never an empty file."""
    file, synced = tmp_path / "record.json", list[bytes]()
    write_json(file, {"size": 1})

    def sync(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").read_bytes())
        assert read_json(file) == {"size": 1}

    monkeypatch.setattr(os, "fsync", sync)
    write_json(file, {"size": 2})
    assert synced == [file.read_bytes()]
    assert read_json(file) == {"size": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_record_is_this_users_alone(tmp_path: Path) -> None:
    """Other files have the mode that is asked for."""
    file = tmp_path / "made/record.json"
    write_json(file, {})
    assert file.stat().st_mode & 0o777 == 0o600
    write_whole(file, "text")
    assert file.stat().st_mode & 0o777 == 0o644
    write_whole(file, b"bytes", mode=0o600)
    assert file.stat().st_mode & 0o777 == 0o600
