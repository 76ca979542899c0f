"""What an interrupt leaves of an installation."""

from pathlib import Path

import pytest

from immutable_servers.driver.setup import (
    cache,
)
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
