"""Two runs that want one version bake it once."""

import threading
from pathlib import Path

import pytest

from immutable_servers.targets.shared.bake_locks import hold_version


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_second_waits_and_says_for_whom(tmp_path: Path) -> None:
    """The second run waits until the first is done, and names its process; no file is left."""
    order: list[str] = []
    waiting = threading.Event()

    def say(line: str) -> None:
        order.append(line)
        waiting.set()

    def bake_too() -> None:
        with hold_version("local", "base", "0123456789ab", say):
            order.append("second")

    second = threading.Thread(target=bake_too)
    with hold_version("local", "base", "0123456789ab", order.append):
        second.start()
        assert waiting.wait(20)
        order.append("first")
    second.join(20)
    assert order[1:] == ["first", "second"]
    assert order[0].startswith("waits for base 0123456789ab, which another run bakes (process ")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_others_do_not_wait() -> None:
    """Another version, image or target is free; and so is a version whose bake failed."""
    said: list[str] = []
    with (
        pytest.raises(ZeroDivisionError),
        hold_version("local", "base", "a", said.append),
        hold_version("local", "base", "b", said.append),
        hold_version("local", "app", "a", said.append),
        hold_version("aws", "base", "a", said.append),
    ):
        _ = 1 / 0
    with hold_version("local", "base", "a", said.append):
        assert said == []
