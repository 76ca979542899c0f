"""The base image's seal: what a server does with its launch data."""

import importlib.util
import json
import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "packer/base/files/usr/local/lib/immutable"
NOW = 1_800_000_000.0
LAUNCH: dict[str, Any] = {
    "server": "web-3f2a9c41-0",
    "service": "web",
    "generation": "3f2a9c41",
    "login_key": "ssh-ed25519 AAAA key\n",
    "window_ends": int(NOW) + 60,
    "env": {"GREETING": "hello"},
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


launch_data = load("launch_data")
seal = load("seal")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose files are in a folder of the test, and whose commands are recorded."""
    folder = tmp_path / "run"
    monkeypatch.setattr(seal, "RUN", folder)
    monkeypatch.setattr(seal, "ROOT_KEYS", tmp_path / "root")
    monkeypatch.setattr(seal.time, "time", lambda: NOW)
    monkeypatch.setattr(seal, "_call", lambda *command: calls.append(command))
    calls.clear()
    return folder


calls: list[tuple[str, ...]] = []


def boot_with(launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "find_launch_data", lambda: launch)
    seal.boot()


@pytest.mark.parametrize(
    ("change", "is_open"),
    [
        ({}, True),
        ({"window_ends": int(NOW)}, False),
        ({"window_ends": 0}, False),
        ({"login_key": ""}, False),
        ({"login_key": None, "window_ends": None}, False),
    ],
)
def test_open_needs_a_key_and_a_window(
    run: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], *, is_open: bool
) -> None:
    """A server takes logins only with a key, and while its window has not ended."""
    boot_with({**LAUNCH, **change}, monkeypatch)
    assert (run / "open").exists() is is_open
    assert (run / "authorized_keys").exists() is is_open


def test_no_launch_data_is_sealed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was handed nothing takes no login."""
    boot_with({}, monkeypatch)
    assert sorted(file.name for file in run.iterdir()) == ["env", "launch.json"]


def test_broken_launch_data_is_sealed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the launch data cannot be read, the boot step fails and no login is open."""

    def refuse() -> None:
        raise ValueError

    monkeypatch.setattr(seal, "find_launch_data", refuse)
    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        seal.boot()
    assert not (run / "open").exists()


def test_open_window_ends_by_a_timer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is the launch's alone, and systemd is told when to close."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert (run / "authorized_keys").read_text() == "restrict,pty ssh-ed25519 AAAA key\n"
    assert f"--on-calendar=@{LAUNCH['window_ends']}" in calls[0]
    assert (run / "ssh_host_ed25519_key").read_text() == "PRIVATE"
    assert stat.S_IMODE((run / "ssh_host_ed25519_key").stat().st_mode) == 0o600


def test_a_host_key_is_made_when_none_is_handed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No two servers share a host key: without one handed over, it is made at boot."""
    boot_with(LAUNCH, monkeypatch)
    assert calls[0][0] == "ssh-keygen"
    assert str(run / "ssh_host_ed25519_key") in calls[0]


def test_launch_data_is_written_without_the_host_key(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone on the server may read the launch data; the private host key is not in it."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert json.loads((run / "launch.json").read_text()) == LAUNCH


def test_now_closes_the_window_and_ends_sessions(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`immutable-seal now` leaves no key and no consent, and stops sshd."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "authorized_keys").write_text("a key")
    assert seal.main(["now"]) == 0
    assert sorted(file.name for file in run.iterdir()) == ["env", "launch.json"]
    assert not (tmp_path / "root" / "authorized_keys").exists()
    assert calls[-1] == ("systemctl", "--no-block", "stop", "ssh.service")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", 'NAME="plain"\n'),
        ('say "hi"', 'NAME="say \\"hi\\""\n'),
        ("$HOME `x` \\", 'NAME="\\$HOME \\`x\\` \\\\"\n'),
    ],
)
def test_env_reaches_the_application_unchanged(value: str, line: str) -> None:
    """What systemd would expand or unquote in an EnvironmentFile is escaped."""
    assert seal.render_env({"NAME": value}) == line


def test_credentials_are_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's credentials give launch data and host key; without them there is no answer."""
    monkeypatch.setattr(launch_data, "CREDENTIALS", tmp_path)
    assert launch_data.find_launch_data() == {}
    (tmp_path / "immutable.launch").write_text('{"server": "web-0"}')
    assert launch_data.find_launch_data() == {"server": "web-0"}
    (tmp_path / "immutable.host-key").write_text("PRIVATE")
    assert launch_data.find_launch_data() == {"server": "web-0", "host_key": "PRIVATE"}


def test_unknown_command_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error changes nothing."""
    assert seal.main(["later"]) == 2
    assert "usage" in capsys.readouterr().err
    assert not run.exists()
