"""Which bakes of an account are dead: by lock on this machine, by their end on others."""

import time
from pathlib import Path

import pytest

from immutable_servers.system import machine
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.shared.bake_locks import hold_version

OURS, BAKED, OTHER = "111111111111", "222222222222", "333333333333"


@pytest.mark.parametrize(
    ("version", "host", "lives_for", "is_dead"),
    [
        (OTHER, "here", 600, True),
        (OURS, "here", 600, True),
        (BAKED, "here", 600, False),
        (BAKED, "here", -1, True),
        (OTHER, "elsewhere", 600, False),
        (OTHER, "elsewhere", -1, True),
    ],
)
def test_a_dead_bake_is_told_from_one_that_lives(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    host: str,
    lives_for: int,
    *,
    is_dead: bool,
) -> None:
    """The caller holds the lock of the version that it is about to bake: a bake of it is dead."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    words = {
        bakes.BAKE: "app",
        bakes.HOST: bakes.name_machine() if host == "here" else host,
        bakes.VERSION: version,
        ends.BAKE: str(int(time.time()) + lives_for),
    }
    with hold_version("cloud", "app", OURS, print), hold_version("cloud", "app", BAKED, print):
        assert bakes.is_dead(words, "cloud", "app", OURS) == is_dead


def test_a_bake_of_a_machine_with_the_same_name_is_not_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks are in a folder of the same path, on another machine."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for file, text in ((theirs, "0" * 32), (ours, "f" * 32)):
        file.write_text(text)
    monkeypatch.setattr(machine, "FILES", (theirs,))
    words = {
        bakes.HOST: bakes.name_machine(),
        bakes.VERSION: OTHER,
        ends.BAKE: str(int(time.time()) + 600),
    }
    assert bakes.is_dead(words, "cloud", "app", OURS)
    monkeypatch.setattr(machine, "FILES", (ours,))
    assert not bakes.is_dead(words, "cloud", "app", OURS)
