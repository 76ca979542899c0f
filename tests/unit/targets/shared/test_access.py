"""Windows and probes at a target that has only servers of names, and a pretended ssh."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutable_servers.contract.values import FleetSpec, Launch, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.shared import ssh
from immutable_servers.targets.shared.access import SshAccess
from immutable_servers.targets.shared.ssh import Host

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is missing")
SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
SPEC = FleetSpec(SCOPE, "app/000000000001", Launch("small", 80, "/"), 1, {})


class ToyAccess(SshAccess):
    """Two servers; what is done to them is written down."""

    login_seconds = 0
    login_todo = "Look at the toy."

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[str] = []
        self.hosts = [Host("web-0", "10.0.0.1"), Host("web-1", "10.0.0.2")]
        self.opened: FleetSpec | None = None

    def _folder(self, scope: Scope) -> Path:
        return self.root / scope.name

    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        del scope
        return self.hosts

    def _open_way(self, scope: Scope) -> None:
        del scope
        self.done.append("open way")

    def _seal_later_servers(self, scope: Scope) -> None:
        del scope
        self.done.append("seal later servers")

    def _cut_off(self, scope: Scope, name: str) -> None:
        del scope
        self.done.append(f"cut off {name}")

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        del scope, say
        self.done.append(f"close way to {', '.join(sealed)}")

    @contextmanager
    def _hold_probe(self, scope: Scope, ends: int) -> Iterator[Path]:
        del scope
        folder = self.root / f"probe-{ends}"
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        del folder, say
        self.opened = spec
        try:
            yield Host("probe", "10.0.0.3")
        finally:
            self.done.append("remove probe")


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyAccess:
    """Return the toy; a server takes logins until it was asked to seal itself."""
    access = ToyAccess(tmp_path)
    sealed: set[str] = set()

    def run(_config: Path, name: str, command: str) -> str:
        access.done.append(f"{name}: {command.rpartition('/')[2]}")
        if command == ssh.SEAL_COMMAND and name != "stubborn":
            sealed.add(name)
        return "refused" if name in sealed else ""

    monkeypatch.setattr(ssh, "run_remote", run)
    return access


def test_logins_are_described_while_the_key_is_here(access: ToyAccess) -> None:
    """Nobody is asked; without the key, or without a server, there is no way in."""
    assert access.describe_logins(SCOPE) == []
    access.make_key(SCOPE)
    assert [login.server for login in access.describe_logins(SCOPE)] == ["web-0", "web-1"]
    assert access.done == []
    access.hosts = []
    assert access.describe_logins(SCOPE) == []


def test_logins_of_a_closed_window_are_refused(access: ToyAccess) -> None:
    """The error says where the key was looked for, and no way is opened."""
    with pytest.raises(LaunchError, match=r"window of web-3f2a9c41 is closed[\s\S]*is not here"):
        access.open_logins(SCOPE)
    access.make_key(SCOPE)
    access.hosts = []
    with pytest.raises(LaunchError, match="no server can be reached"):
        access.open_logins(SCOPE)
    assert access.done == []


def test_logins_are_opened_and_waited_for(access: ToyAccess) -> None:
    """The way is open before the first login is tried."""
    access.make_key(SCOPE)
    assert len(access.open_logins(SCOPE)) == 2
    assert access.done[0] == "open way"
    assert sorted(access.done[1:]) == ["web-0: true", "web-1: true"]


def test_a_window_is_closed_for_good(access: ToyAccess) -> None:
    """Later servers first, then each server, checked from outside; the key goes last."""
    access.make_key(SCOPE)
    access.describe_logins(SCOPE)
    said: list[str] = []
    access.close_window(SCOPE, said.append)
    assert access.done == [
        "seal later servers",
        *("web-0: immutable-seal now", "web-0: true", "cut off web-0"),
        *("web-1: immutable-seal now", "web-1: true", "cut off web-1"),
        "close way to web-0, web-1",
    ]
    assert said == ["sealed web-0, web-1"]
    assert not (access.root / SCOPE.name).exists()
    access.close_window(SCOPE, said.append)
    assert len(said) == 1


def test_a_server_that_stays_open_is_cut_off_and_named(access: ToyAccess) -> None:
    """The seal fails, the key stays for another try, and later servers boot sealed all the same."""
    access.hosts = [Host("stubborn", "10.0.0.1")]
    access.make_key(SCOPE)
    access.describe_logins(SCOPE)
    with pytest.raises(LaunchError, match=r"stubborn did not seal itself[\s\S]*still works"):
        access.close_window(SCOPE, lambda _line: None)
    assert access.done[0] == "seal later servers"
    assert access.done[-1] == "cut off stubborn"
    assert (access.root / SCOPE.name / "key").exists()


def test_a_probe_has_a_key_and_a_window_of_its_own(access: ToyAccess) -> None:
    """It is removed at the end, also when what is done in it fails; its folder goes with it."""

    def use_and_fail() -> None:
        with access.start_probe(SPEC, lambda _line: None) as login:
            assert login.host == "ssh://probe"
            assert access.opened
            assert access.opened.public_key.startswith("ssh-ed25519 ")
            assert access.opened.window_ends
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert access.done == ["probe: true", "remove probe"]
    assert list(access.root.iterdir()) == []
