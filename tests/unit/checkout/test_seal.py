"""The base image's seal: what a server does with its launch data."""

import importlib.util
import json
import stat
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from harness.checkout import ROOT

FOLDER = ROOT / "packer/base/files/usr/local/lib/immutable"
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


class Metadata(BaseHTTPRequestHandler):
    """EC2's metadata server, which answers nobody without a token of its own."""

    files: ClassVar[dict[str, str]] = {}
    refusals: ClassVar[list[int]] = []

    def do_PUT(self) -> None:
        """Hand out a token for a lifetime."""
        wished = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer("TOKEN" if self.path == "/latest/api/token" and wished else None)

    def do_GET(self) -> None:
        """Hand out a file for the token."""
        if self.headers.get("X-aws-ec2-metadata-token") != "TOKEN":
            self.send_error(401)
        else:
            self.answer(self.files.get(self.path))

    def answer(self, text: str | None) -> None:
        """Answer 503 as often as a test wants, then the text or 404."""
        if self.refusals:
            self.send_error(self.refusals.pop())
            return
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own
        """Say nothing."""


@pytest.fixture
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Metadata]]:
    """Yield the metadata server of an emulated EC2 instance."""
    vendor = tmp_path / "sys_vendor"
    vendor.write_text("Amazon EC2\n")
    monkeypatch.setattr(launch_data, "VENDOR", vendor)
    monkeypatch.setattr(launch_data, "CREDENTIALS", tmp_path)
    Metadata.files = {}
    Metadata.refusals.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    monkeypatch.setattr(launch_data, "EC2_METADATA", f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Metadata
    server.shutdown()
    server.server_close()
    thread.join()


def test_ec2_user_data_is_a_source(metadata: type[Metadata]) -> None:
    """An EC2 instance asks with a token, waits for the network, and adds its own id to its name."""
    metadata.refusals.append(503)
    metadata.files = {
        "/latest/user-data": '{"service": "web", "generation": "3f2a9c41", "env": {"A": "b"}}',
        "/latest/meta-data/instance-id": "i-0123",
    }
    assert launch_data.find_launch_data() == {
        "server": "web-3f2a9c41-i-0123",
        "service": "web",
        "generation": "3f2a9c41",
        "env": {"A": "b"},
    }


def test_an_instance_without_user_data_is_sealed(metadata: type[Metadata]) -> None:
    """No user data is no launch data, and what is not ours fails the boot step."""
    assert launch_data.find_launch_data() == {}
    metadata.files = {"/latest/user-data": "#cloud-config"}
    with pytest.raises(json.JSONDecodeError):
        launch_data.find_launch_data()


def test_metadata_that_never_answers_is_an_error(
    metadata: type[Metadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that never comes up fails the boot step instead of waiting for ever."""
    metadata.refusals.extend([503] * 50)
    monkeypatch.setattr(launch_data, "METADATA_SECONDS", 0.1)
    with pytest.raises(OSError, match="did not answer"):
        launch_data.find_launch_data()


def test_other_machines_ask_no_metadata(
    tmp_path: Path, metadata: type[Metadata], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a machine that says it is EC2's asks EC2."""
    metadata.files = {"/latest/user-data": "not asked for"}
    (tmp_path / "sys_vendor").write_text("QEMU\n")
    assert launch_data.find_launch_data() == {}
    monkeypatch.setattr(launch_data, "VENDOR", tmp_path / "missing")
    assert launch_data.find_launch_data() == {}


def test_unknown_command_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error changes nothing."""
    assert seal.main(["later"]) == 2
    assert "usage" in capsys.readouterr().err
    assert not run.exists()
