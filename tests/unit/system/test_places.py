"""Where things live: short enough for the sockets in it."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from immutable_servers.errors import SetupError
from immutable_servers.system import places

LONGEST = 107
"""Bytes of a Unix socket's path (unix(7))."""
SSH_NAME = 40
"""Bytes of the name of a shared SSH connection (`%C`, ssh_config(5))."""
SSH_MAKES = 17
"""What ssh puts behind it while it makes the socket."""


def test_a_shared_ssh_connection_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a user's usual runtime folder, and below /tmp, ssh can make its socket."""
    runtime = tmp_path / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    below = len(str(places.runtime_dir(tmp_path))) - len(str(runtime))
    assert len("/run/user/1000000") + below + 1 + SSH_NAME + SSH_MAKES <= LONGEST
    assert (runtime / "immutable").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders below the test's, and a /tmp of their own; no XDG_RUNTIME_DIR."""
    for name in ("DATA_HOME", "CACHE_HOME"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr(places, "SHARED", shared)
    return tmp_path


@pytest.mark.parametrize("umask", [0o022, 0o002, 0])
def test_nobody_else_enters_our_folders(homes: Path, umask: int) -> None:
    """Whatever the umask, new folders are closed, and those of earlier versions are closed then."""
    places.cache_dir().mkdir(parents=True, mode=0o755)
    (homes / places.PROJECT_FOLDER).mkdir(mode=0o775)
    before = os.umask(umask)
    try:
        places.make_private_places(homes)
    finally:
        os.umask(before)
    for folder in places.list_places(homes):
        assert folder.stat().st_mode & 0o7777 == 0o700, folder
        assert places.is_private(folder)


def test_a_folder_that_is_not_ours_to_close_stops_nothing(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only place fails later, where something is written, with what failed."""

    def refuse(_folder: Path, _mode: int) -> None:
        raise PermissionError

    places.data_dir().mkdir(parents=True, mode=0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    places.make_private_places(homes)
    assert not places.is_private(places.data_dir())


def plant_folder(place: Path) -> None:
    """Take a name with a folder that everybody enters."""
    place.mkdir()
    place.chmod(0o777)


def plant_link(place: Path) -> None:
    """Take a name with a link to a private folder of the user's own."""
    own = place.with_name("own")
    own.mkdir(mode=0o700)
    place.symlink_to(own)


def plant_dangling(place: Path) -> None:
    """Take a name with a link to nothing."""
    place.symlink_to(place.with_name("nothing"))


@pytest.mark.parametrize("plant", [plant_folder, plant_link, plant_dangling, Path.touch])
def test_a_planted_folder_for_sockets_stops_nobody(
    homes: Path, plant: Callable[[Path], None]
) -> None:
    """Whoever takes the name in /tmp is passed by, in the same way by every later run."""
    usual = places.SHARED / f"immutable-{os.getuid()}"
    plant(usual)
    made = places.runtime_dir(homes)
    assert usual not in made.parents
    assert places.is_private(made.parent)
    assert made.parent.parent == places.SHARED
    assert places.runtime_dir(homes) == places.find_runtime_dir(homes) == made
    longest = len(str(made)) - len(str(places.SHARED)) + len("/tmp") + 1 + SSH_NAME + SSH_MAKES  # noqa: S108 - only its length
    assert longest <= LONGEST


def test_a_usual_folder_that_is_ours_is_kept(homes: Path) -> None:
    """Sockets of runs before are found: nothing is moved without need."""
    usual = places.SHARED / f"immutable-{os.getuid()}"
    assert places.runtime_dir(homes).parent == usual
    assert places.runtime_dir(homes).parent == usual


def test_a_chosen_folder_that_is_gone_or_taken_is_made_anew(homes: Path) -> None:
    """After a reboot /tmp is empty, and the earlier name, which was seen, may be taken too."""
    usual = places.SHARED / f"immutable-{os.getuid()}"
    plant_folder(usual)
    first = places.runtime_dir(homes).parent
    shutil.rmtree(first)
    plant_folder(first)
    second = places.runtime_dir(homes).parent
    assert second not in (first, usual)
    assert places.is_private(second)


def test_runs_that_come_together_choose_one_folder(homes: Path) -> None:
    """Two that find the name taken at once have their sockets in one place."""
    plant_folder(places.SHARED / f"immutable-{os.getuid()}")
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: places.runtime_dir(homes), range(32)))
    assert len(made) == 1


def test_a_runtime_folder_that_is_not_private_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the user has named is not passed by without a word."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    plant_folder(tmp_path / "immutable")
    with pytest.raises(SetupError, match="is not private to this user") as caught:
        places.runtime_dir(tmp_path)
    assert list(caught.value.facts) == [f"owner {os.getuid()}, mode 777; wanted {os.getuid()}, 700"]
