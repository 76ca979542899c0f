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
from immutable_servers.targets.shared.ssh import Host, Way

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
        self.used: dict[str, str] = {}

    def _folder(self, scope: Scope) -> Path:
        return self.root / scope.name

    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        del scope
        return self.hosts

    def _find_way(self, folder: Path) -> Way:
        return Way(sockets=folder)

    def write_logins(self, scope: Scope) -> None:
        """Write the verifier's login as `open_logins` does, and wait for nobody."""
        ssh.write_ssh_config(self._folder(scope), self.hosts, self._find_way(self._folder(scope)))

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

    def run(_config: Path, name: str, command: str, _environment: object = ()) -> ssh.Answer:
        if command == ssh.USED_COMMAND:
            return ssh.Answer(access.used.get(name, ""))
        access.done.append(f"{name}: {command.rpartition('/')[2]}")
        if command == ssh.SEAL_COMMAND and name not in {"stubborn", "far"} | sealed:
            sealed.add(name)
            return ssh.Answer(f"sealed\n{access.used.get(name, '')}")
        if name == "far":
            return ssh.Answer(failure="No route to host")
        return ssh.Answer(failure=ssh.REFUSED if name in sealed else "")

    monkeypatch.setattr(ssh, "run_remote", run)
    return access


def make_keys(access: ToyAccess) -> None:
    """Make people's key and the verifier's, as a launch does."""
    access.make_inspection_key(SCOPE)
    access.make_key(SCOPE)


def test_logins_are_described_while_the_key_is_here(access: ToyAccess) -> None:
    """Nobody is asked; without the keys, or without a server, there is no way in."""
    assert access.describe_logins(SCOPE) == []
    access.make_key(SCOPE)
    assert access.describe_logins(SCOPE) == []
    access.make_inspection_key(SCOPE)
    assert [login.server for login in access.describe_logins(SCOPE)] == ["web-0", "web-1"]
    assert access.done == []
    access.hosts = []
    assert access.describe_logins(SCOPE) == []


def test_a_key_that_a_dead_run_left_is_known(access: ToyAccess) -> None:
    """People's alone too: it is made first. Without servers to ask, a seal deletes both."""
    assert not access.has_keys(SCOPE)
    access.make_inspection_key(SCOPE)
    assert access.has_keys(SCOPE)
    access.make_key(SCOPE)
    access.close_window(SCOPE, lambda _line: None)
    assert not access.has_keys(SCOPE)


def test_people_have_a_login_of_their_own(access: ToyAccess) -> None:
    """What they are given names another key than the verifier's, and shares no connection."""
    make_keys(access)
    (login, _) = access.open_logins(SCOPE)
    (people, _) = access.describe_logins(SCOPE)
    folder = access.root / SCOPE.name
    assert login.ssh_config == f"{folder}/ssh_config"
    assert people.ssh_config == f"{folder}/inspection/ssh_config"
    text = Path(people.ssh_config).read_text()
    assert f'IdentityFile "{folder}/inspection/key"' in text
    assert f'"{folder}/key"' not in text
    assert "ControlPath none" in text
    assert f'ControlPath "{folder}' not in text
    assert f'ControlPath "{folder}' in Path(login.ssh_config).read_text()
    assert 'Match originalhost web-0 exec "date -u ' in text
    assert (folder / "inspection/key").stat().st_mode & 0o077 == 0
    assert access.find_inspection(SCOPE) == ""


def test_who_logged_in_is_asked_of_every_server(access: ToyAccess) -> None:
    """A line for each server that somebody was on."""
    make_keys(access)
    access.open_logins(SCOPE)
    assert access.find_used(SCOPE) == []
    access.used = {"web-1": "2026-11-28T12:03:04Z\n"}
    assert access.find_used(SCOPE) == ["somebody logged in to web-1 at 2026-11-28T12:03:04Z"]


def test_a_login_between_verification_and_seal_is_found(access: ToyAccess) -> None:
    """All servers are sealed, the seal fails, and the next plan knows why they are of no use."""
    make_keys(access)
    access.open_logins(SCOPE)
    access.used = {"web-0": "2026-11-28T12:03:04Z\n"}
    with pytest.raises(LaunchError, match=r"after it was verified[\s\S]*web-0 at 2026-11-28"):
        access.close_window(SCOPE, lambda _line: None)
    assert access.done[-1] == "close way to web-0, web-1"
    assert access.find_inspection(SCOPE) == "somebody used its login"
    with pytest.raises(LaunchError, match="fresh round"):  # sealed servers say nothing any more
        access.close_window(SCOPE, lambda _line: None)
    access.delete_key(SCOPE)
    assert list(access.root.iterdir()) == []


def test_a_login_that_only_this_machine_knows_of_counts(access: ToyAccess) -> None:
    """Whoever was on a server may have removed its note; the one here is enough."""
    make_keys(access)
    access.open_logins(SCOPE)
    (access.root / SCOPE.name / "inspection" / "used").write_text("2026-11-28T12:03:04Z\n")
    with pytest.raises(LaunchError, match=r"somebody used its login at 2026-11-28T12:03:04Z"):
        access.close_window(SCOPE, lambda _line: None)


def test_a_server_that_cannot_be_reached_is_not_sealed(access: ToyAccess) -> None:
    """No way to it is no proof that nobody else has one."""
    access.hosts = [Host("far", "10.0.0.1")]
    make_keys(access)
    access.write_logins(SCOPE)
    with pytest.raises(
        LaunchError, match=r"did not seal itself[\s\S]*could not be asked: No route"
    ):
        access.close_window(SCOPE, lambda _line: None)
    assert (access.root / SCOPE.name / "key").exists()


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
    make_keys(access)
    access.write_logins(SCOPE)
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
    make_keys(access)
    access.write_logins(SCOPE)
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
