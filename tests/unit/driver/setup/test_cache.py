"""What an interrupt leaves of an installation."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.driver.setup import cache, go, intact, packer, versions
from immutable_servers.errors import SetupError


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """An installation that fails leaves nothing; one that was killed is cleaned away."""
    place = cache.toolchain_dir() / "tool-1"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise SetupError("It broke")

    with pytest.raises(SetupError), cache.start_folder(place) as folder:
        fail(folder)
    assert list(cache.toolchain_dir().iterdir()) == []
    left = cache.toolchain_dir() / f"{cache.TEMPORARY}killed"
    left.mkdir()
    with cache.start_lock(lambda _line: None):
        assert not left.exists()
    with cache.start_folder(place) as folder:
        (folder / "whole").touch()
    assert (place / "whole").exists()
    assert tmp_path in place.parents


def make_folder(content: str = "tool") -> Path:
    """Put a tool into the cache."""
    place = cache.toolchain_dir() / "tool-1"
    with cache.start_folder(place) as folder:
        (folder / "tool").write_text(content)
        (folder / "lib").mkdir()
        (folder / "lib" / "part").write_text("part")
    return place


def change(place: Path) -> None:
    """Write other content of the same size, and put the time back, as somebody with care would."""
    file = place / "tool"
    before = file.stat()
    file.write_text("evil")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "break_it",
    [
        change,
        lambda place: (place / "tool").unlink(),
        lambda place: (place / "lib" / "part").write_text("other"),
        lambda place: (place / "grpc.py").write_text("more"),
        lambda place: (place / intact.RECORD).write_text("{"),
    ],
    ids=["changed", "gone", "deeper", "more", "record"],
)
def test_a_folder_that_was_changed_does_not_count_and_is_made_anew(
    tmp_path: Path, break_it: Callable[[Path], object]
) -> None:
    """Each file is what was put there, and no other is there; set-up then replaces the folder."""
    place = make_folder()
    assert intact.is_intact(place)
    break_it(place)
    assert not intact.is_intact(place)
    assert make_folder() == place
    assert intact.is_intact(place)
    assert (place / "tool").read_text() == "tool"
    assert tmp_path in place.parents


def test_a_folder_that_is_whole_is_kept(tmp_path: Path) -> None:
    """Who comes second with the same input changes nothing."""
    place = make_folder()
    make_folder("another")
    assert (place / "tool").read_text() == "tool"
    assert tmp_path in place.parents


def test_a_file_is_read_again_only_when_its_stamp_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command does not read 115 MB each time; a touched file is read once more."""
    place = make_folder()
    read: list[str] = []
    digest = intact.compute_digest

    def note(file: Path) -> str:
        read.append(file.name)
        return digest(file)

    monkeypatch.setattr(intact, "compute_digest", note)
    assert intact.is_intact(place)
    assert read == []
    (place / "tool").touch()
    for _ in range(2):
        assert intact.is_intact(place)
    assert read == ["tool"]


def test_a_folder_of_an_earlier_version_is_taken_as_it_is() -> None:
    """It has no record: what is in it now is recorded, and nothing is built for it."""
    place = make_folder()
    (place / intact.RECORD).unlink()
    assert intact.is_intact(place)
    change(place)
    assert not intact.is_intact(place)


def test_a_damaged_tool_is_missing_until_it_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not used; the next set-up says why it makes it again."""
    tool = packer.TOOL
    monkeypatch.setattr(go, "build", lambda *words: words[2].write_text("tool"))
    monkeypatch.setattr(versions, "ARCHIVES", {})
    said: list[str] = []
    tool.install(said.append)
    assert tool.find()
    change_tool = tool.folder / "packer"
    change_tool.write_text("evil")
    assert tool.find() is None
    tool.install(said.append)
    assert tool.find()
    assert change_tool.read_text() == "tool"
    assert "what is in the cache is not what was put there: making it anew" in said
