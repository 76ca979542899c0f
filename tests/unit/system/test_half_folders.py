"""Folders that appear whole."""

import os
from pathlib import Path

import pytest

from immutable_servers.errors import ImageError
from immutable_servers.system import half_folders
from immutable_servers.system.half_folders import remove_left_halves, start_half
from immutable_servers.system.supervisor import read_stat


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    """Nobody sees the folder before it is whole."""
    folder = tmp_path / "base" / "0123456789ab"
    with start_half(folder) as half:
        (half / "disk").write_text("x")
        assert not folder.exists()
    assert (folder / "disk").read_text() == "x"
    assert [path.name for path in folder.parent.iterdir()] == ["0123456789ab"]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    """A body that raises leaves neither the folder nor its half."""
    folder = tmp_path / "base" / "0123456789ab"

    def fail() -> None:
        with start_half(folder) as half:
            (half / "disk").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(folder.parent.iterdir()) == []


def test_what_is_not_whole_is_replaced(tmp_path: Path) -> None:
    """A folder in the place is there because it was not whole: the new one takes it."""
    folder = tmp_path / "0123456789ab"
    folder.mkdir()
    (folder / "old").touch()
    with start_half(folder) as half:
        (half / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_killed_run_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    """The half folder of a run that is gone is removed; that of one that works is not."""
    stat = read_stat(os.getpid())
    assert stat is not None
    gone = tmp_path / f".0123456789ab.{os.getpid()}.{stat.started + 1}"
    working = tmp_path / f".0123456789ab.{os.getpid()}.{stat.started}"
    other = tmp_path / ".notes.of.mine"
    for folder in (gone, working, other):
        folder.mkdir()
    remove_left_halves(tmp_path)
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted([working.name, other.name])


def test_disk_nearly_full_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun on a disk that is nearly full."""
    monkeypatch.setattr(half_folders, "ROOM", 1 << 80)
    with pytest.raises(ImageError, match="nearly full"), start_half(tmp_path / "a" / "b"):
        raise AssertionError
    assert list((tmp_path / "a").iterdir()) == []
