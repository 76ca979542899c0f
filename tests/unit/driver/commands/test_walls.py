"""What `doctor` says of other users of the machine."""

import os
import pwd
from pathlib import Path

import pytest

from immutable_servers.driver.commands import walls
from immutable_servers.driver.setup.parts import Found
from immutable_servers.system import places

HOST = Found("ours", "/opt/host")
OFFICIAL = (
    "The language host /usr/bin/host answers every user: with this Pulumi off the PATH ours is"
    " installed, which asks who calls."
)
ANN, BOB, DAEMON, GUEST, ROOT = (
    pwd.struct_passwd((name, "x", uid, uid, "", "/", shell))
    for name, uid, shell in (
        ("ann", 1000, "/bin/bash"),
        ("bob", 1001, "/bin/zsh"),
        ("messagebus", 100, "/usr/sbin/nologin"),
        ("guest", 1002, "/usr/sbin/nologin"),
        ("root", 0, "/bin/bash"),
    )
)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's folders out of it; the root of the project."""
    for name in ("DATA_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    monkeypatch.setattr(walls, "find_host", lambda: HOST)
    return tmp_path


def test_users_who_log_in_or_have_processes_are_others() -> None:
    """A service counts while it runs, root never, and neither do we or an account nobody enters."""
    accounts = [ROOT, DAEMON, ANN, BOB, GUEST]
    assert walls.find_other_users(accounts, [0, 1000], 1000) == ["bob"]
    assert walls.find_other_users(accounts, [0, 100, 1000, 4711], 0) == [
        "messagebus",
        "ann",
        "bob",
        "4711",
    ]
    assert walls.find_other_users([ROOT, DAEMON, ANN], [0, 1000], 1000) == []


def test_the_users_of_this_machine_s_processes_are_found() -> None:
    """Our own user is among them where there is a `/proc`, and a system without one has none."""
    there = Path("/proc/self").exists()
    assert (os.getuid() in walls.find_running_users()) is there
    assert walls.find_running_users(Path("/no-such-folder")) == set()


def test_nothing_is_said_of_walls_that_hold(
    own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone on the machine, with our host and closed folders, there is nothing to know."""
    monkeypatch.setattr(walls, "find_other_users", lambda *_: [])
    places.make_private_places(own_places)
    assert walls.find_gaps(own_places) == []


def test_others_on_the_machine_are_named_with_what_they_reach(
    own_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are named, the rest counted; it is said that the engine answers them."""
    monkeypatch.setattr(walls, "find_other_users", lambda *_: ["ann", "bob", "c", "d", "e", "f"])
    (said,) = walls.find_gaps(own_places)
    assert said == (
        "Other users are here: ann, bob, c, d, 2 more. During a run Pulumi's engine answers each of"
        " them on the loopback (pulumi issue 21040): deploy from a machine"
        " without other users."
    )


def test_what_else_does_not_hold_is_said(own_places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's own host, a folder that others enter, and a session without one for sockets."""
    monkeypatch.setattr(walls, "find_other_users", lambda *_: [])
    monkeypatch.setattr(walls, "find_host", lambda: Found("official", "/usr/bin/host"))
    places.make_private_places(own_places)
    places.data_dir().chmod(0o755)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert walls.find_gaps(own_places) == [
        OFFICIAL,
        f"Others can enter {places.data_dir()}: own that, and type chmod 700.",
        f"There is no XDG_RUNTIME_DIR: sockets are in {places.runtime_root()}.",
    ]
