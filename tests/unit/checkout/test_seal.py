"""The base image's seal: what a server does with its launch data."""

import importlib.util
import json
import re
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from harness.checkout import ROOT, write_files
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import Scope
from immutable_servers.targets.gcp.names import name_server
from immutable_servers.targets.gcp.template import render_window
from immutable_servers.targets.shared.launch_data import describe_bake

FOLDER = ROOT / "packer/base/files/usr/local/lib/immutable"
NOW = 1_800_000_000.0
USED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ 203\.0\.113\.7\n")
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
window = load("window")
inspection = load("inspection")
own_name = load("own_name")
own_header = load("own_header")
own_units = load("own_units")
seal = load("seal")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose files are in a folder of the test, and whose commands are recorded."""
    folder = tmp_path / "run"
    monkeypatch.setattr(seal, "RUN", folder)
    monkeypatch.setattr(window, "MEMORY", tmp_path / "disk")
    monkeypatch.setattr(seal, "ROOT_KEYS", tmp_path / "root")
    for name in ("KERNEL", "HOSTNAME", "HOSTS"):
        monkeypatch.setattr(own_name, name, tmp_path / name)
    for name in ("UNITS", "BASE"):
        monkeypatch.setattr(own_units, name, tmp_path / name)
    monkeypatch.setattr(seal.time, "time", lambda: NOW)
    monkeypatch.setattr(seal, "_call", call)
    calls.clear()
    return folder


calls: list[tuple[str, ...]] = []


def call(*command: str) -> None:
    """Note a command; of a host key's only the public half is made."""
    calls.append(command)
    if command[0] == "ssh-keygen":
        Path(f"{command[-1]}.pub").write_text("ssh-ed25519 HOST \n")


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
    assert sorted(file.name for file in run.iterdir()) == ["env", "launch.json", "nginx.conf"]


def test_broken_launch_data_is_sealed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the launch data cannot be read, the boot step fails and no login is open."""

    def refuse() -> None:
        raise ValueError

    monkeypatch.setattr(seal, "find_launch_data", refuse)
    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        seal.boot()
    assert not (run / "open").exists()


def test_open_window_ends_by_a_timer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is the launch's alone, and systemd closes at a time and after so many seconds."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert (run / "authorized_keys").read_text() == "restrict,pty ssh-ed25519 AAAA key\n"
    assert f"--on-calendar=@{LAUNCH['window_ends']}" in calls[0]
    assert "--on-active=60s" in calls[0]
    assert (run / "ssh_host_ed25519_key").read_text() == "PRIVATE"
    assert stat.S_IMODE((run / "ssh_host_ed25519_key").stat().st_mode) == 0o600


def test_a_host_key_is_made_when_none_is_handed(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No two servers share one: without one handed over it is made, and its public half shown."""
    boot_with(LAUNCH, monkeypatch)
    assert calls[0][0] == "ssh-keygen"
    assert str(run / "ssh_host_ed25519_key") in calls[0]
    assert capsys.readouterr().out == "host key ssh-ed25519 HOST\n"
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert capsys.readouterr().out == ""


def test_launch_data_is_written_without_the_host_key(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone on the server may read the launch data; the private host key is not in it."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert json.loads((run / "launch.json").read_text()) == LAUNCH


def test_answers_name_the_generation(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nginx reads says service and generation; nothing where it must not, or knows none."""
    boot_with(LAUNCH, monkeypatch)
    assert (run / "nginx.conf").read_text().splitlines() == [
        'add_header X-Immutable-Generation "web-3f2a9c41" always;',
        "proxy_hide_header X-Immutable-Generation;",
    ]
    assert stat.S_IMODE((run / "nginx.conf").stat().st_mode) == 0o644
    boot_with({**LAUNCH, "generation_header": False}, monkeypatch)
    assert (run / "nginx.conf").read_text() == ""
    boot_with({}, monkeypatch)
    assert (run / "nginx.conf").read_text() == ""


def test_a_server_takes_its_own_name(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It calls itself what its launch calls it, finds that name, and keeps it over a reboot."""
    hosts = "127.0.0.1 localhost\n127.0.1.1 ip-10-0-1-23\n10.0.0.7 db\n"
    (tmp_path / "HOSTS").write_text(hosts)
    (tmp_path / "HOSTNAME").write_text("ip-10-0-1-23\n")
    for _ in range(2):
        boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
        shutil.rmtree(run)
        assert (tmp_path / "KERNEL").read_text() == "web-3f2a9c41-0"
        assert (tmp_path / "HOSTNAME").read_text() == "web-3f2a9c41-0\n"
        assert (tmp_path / "HOSTS").read_text().splitlines() == [
            "127.0.0.1 localhost",
            "10.0.0.7 db",
            "127.0.1.1 web-3f2a9c41-0",
        ]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("launch", [{}, describe_bake("000000000001", "ssh-ed25519 AAAA", 7200)])
def test_no_name_gets_into_an_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, launch: dict[str, Any]
) -> None:
    """A bake's guest, whose disk becomes an image, and a server without a name keep the image's."""
    boot_with(launch, monkeypatch)
    assert not [name for name in ("KERNEL", "HOSTNAME", "HOSTS") if (tmp_path / name).exists()]


def test_a_server_says_which_units_are_its_images_own(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each enabled service that the base has not, with what systemd does after its failure."""
    assert not run.exists()
    units = tmp_path / "UNITS"
    for file, text in {
        "app.service": "[Service]\nRestart=always\nRestartSec=1\n",
        "app.service.d/10.conf": "[Service]\nRestart = on-failure\n",
        "once.service": "[Service]\nType=oneshot\n# Restart=always\n",
        "nginx.service": "[Service]\nRestart=always\n",
        "disabled.service": "",
    }.items():
        (units / file).parent.mkdir(parents=True, exist_ok=True)
        (units / file).write_text(text)
    for wants, names in {
        "multi-user.target.wants": "app nginx gone",
        "a.target.requires": "once",
    }.items():
        (units / wants).mkdir()
        for name in names.split():
            (units / wants / f"{name}.service").symlink_to(units / f"{name}.service")
    (tmp_path / "BASE").write_text("nginx.service\nssh.service\n")
    boot_with({}, monkeypatch)
    said = "own units: app.service=on-failure gone.service=no once.service=no\n"
    assert capsys.readouterr().out == said


def test_now_closes_the_window_and_ends_sessions(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`immutable-seal now` leaves no key and no consent, and stops sshd."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "authorized_keys").write_text("a key")
    assert seal.main(["now"]) == 0
    assert sorted(file.name for file in run.iterdir()) == ["env", "launch.json", "nginx.conf"]
    assert not (tmp_path / "root" / "authorized_keys").exists()
    assert calls[-1] == ("systemctl", "--no-block", "stop", "ssh.service")


def reboot(run: Path, monkeypatch: pytest.MonkeyPatch, launch: dict[str, Any]) -> bool:
    """Boot again with the same launch data, as a machine does; return whether logins are open."""
    shutil.rmtree(run)  # a tmpfs
    boot_with(launch, monkeypatch)
    return (run / "open").exists()


def set_clock(monkeypatch: pytest.MonkeyPatch, after: float) -> None:
    """Set the wall clock to so many seconds after the first boot."""
    monkeypatch.setattr(seal.time, "time", lambda: NOW + after)


def test_a_sealed_server_that_reboots_stays_sealed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key and window are in its launch data still, and it opens neither; unsealed it does."""
    launch = {**LAUNCH, "host_key": "PRIVATE", "window_ends": int(NOW) + 1800}
    boot_with(launch, monkeypatch)
    assert reboot(run, monkeypatch, launch)
    assert seal.main(["now"]) == 0
    for after in (0.0, 60.0, -10 * 365 * 86400.0):
        set_clock(monkeypatch, after)
        assert not reboot(run, monkeypatch, launch)
        assert sorted(file.name for file in run.iterdir()) == ["env", "launch.json", "nginx.conf"]


def test_clocks_open_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher ahead of time gives 30 minutes in all, reboots included; a step back none."""
    launch = {**LAUNCH, "host_key": "PRIVATE", "window_ends": int(NOW) + 3 * 3600}
    boot_with(launch, monkeypatch)
    assert "--on-active=1800s" in calls[-1]
    for after, is_open in ((1200.0, True), (1799.0, True), (1801.0, False), (-1.0, False)):
        set_clock(monkeypatch, after)
        assert reboot(run, monkeypatch, launch) is is_open
    set_clock(monkeypatch, 1200.0)
    assert reboot(run, monkeypatch, launch)
    assert "--on-active=600s" in calls[-1]


def test_the_image_has_the_programs_own_limit() -> None:
    """The cap is what the program gives: a longer one could not be kept, a shorter one not used."""
    assert window.MOST == LOGIN_WINDOW


@pytest.mark.usefixtures("run")
def test_a_bake_stays_open_and_leaves_nothing_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bake may last longer than a login window, and its disk becomes an image."""
    launch = {**describe_bake("000000000001", "ssh-ed25519 AAAA", 7200), "host_key": "PRIVATE"}
    boot_with({**launch, "window_ends": int(NOW) + 7200}, monkeypatch)
    assert "--on-active=7200s" in calls[-1]
    assert seal.main(["now"]) == 0
    assert not window.MEMORY.exists()


def test_a_note_of_another_launch_closes_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that somebody made of a sealed server opens its probes, bakes and candidates."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    assert seal.main(["now"]) == 0
    other = {**LAUNCH, "host_key": "PRIVATE", "login_key": "ssh-ed25519 BBBB"}
    assert reboot(run, monkeypatch, other)
    assert seal.main(["now"]) == 0
    assert not reboot(run, monkeypatch, other)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "ssh-ed25519 AAAA key\\n"}'])
def test_a_note_that_cannot_be_read_is_sealed(
    run: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A disk that lost it opens nothing, and the boot step fails."""
    window.MEMORY.mkdir()
    (window.MEMORY / "window.json").write_text(text)
    with pytest.raises((ValueError, KeyError, AttributeError)):
        boot_with(LAUNCH, monkeypatch)
    assert not (run / "open").exists()
    assert not (run / "authorized_keys").exists()


def test_a_seal_that_the_disk_does_not_take_closes_all_the_same(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys are gone and sshd ends, but it does not say that it is sealed: a reboot may open."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)

    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(window.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        seal.main(["now"])
    assert not (run / "authorized_keys").exists()
    assert calls[-1] == ("systemctl", "--no-block", "stop", "ssh.service")
    assert capsys.readouterr().out == ""


def test_peoples_key_runs_what_remembers_them(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a forced command; the verifier's key has none."""
    people = {"inspection_key": "ssh-ed25519 BBBB people\n", "host_key": "PRIVATE"}
    boot_with({**LAUNCH, **people}, monkeypatch)
    assert (run / "authorized_keys").read_text() == (
        "restrict,pty ssh-ed25519 AAAA key\n"
        'restrict,pty,command="/usr/local/sbin/immutable-seal inspect" ssh-ed25519 BBBB people\n'
    )


@pytest.mark.parametrize(
    ("asked", "becomes"),
    [
        ({}, ["-bash"]),
        (
            {"SSH_ORIGINAL_COMMAND": "cat /etc/os-release"},
            ["/bin/bash", "-c", "cat /etc/os-release"],
        ),
    ],
)
def test_a_login_of_people_is_noted_before_they_are_in(
    run: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], becomes: list[str]
) -> None:
    """When and whence is on the disk; then they get a login shell, or what they asked for."""
    became: list[list[str]] = []

    def become(_file: str, arguments: list[str], _environment: dict[str, str]) -> None:
        assert USED.fullmatch(inspection.read_used())
        became.append(arguments)

    monkeypatch.setattr(inspection.os, "execve", become)
    inspection.let_in({"SSH_CONNECTION": "203.0.113.7 50000 10.0.0.5 22", **asked})
    assert became == [becomes]
    assert not run.exists()


def test_a_login_that_cannot_be_noted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets in unremembered."""
    (tmp_path / "disk").write_text("no folder")
    monkeypatch.setattr(window, "MEMORY", tmp_path / "disk")
    monkeypatch.setattr(inspection.os, "execve", lambda *_: pytest.fail("somebody is in"))
    with pytest.raises(OSError, match="disk"):
        inspection.let_in({})


@pytest.mark.usefixtures("run")
def test_the_seal_says_who_was_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sealer reads first that it is sealed, then a line for each login."""
    boot_with({**LAUNCH, "host_key": "PRIVATE"}, monkeypatch)
    monkeypatch.setattr(inspection.os, "execve", lambda *_: None)
    for address in ("203.0.113.7", "::1"):
        inspection.let_in({"SSH_CONNECTION": f"{address} 50000 10.0.0.5 22"})
    assert seal.main(["now"]) == 0
    sealed, first, second = capsys.readouterr().out.splitlines()
    assert sealed == "sealed"
    assert USED.fullmatch(f"{first}\n")
    assert second.endswith("Z ::1")


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
    """EC2's metadata server and Google's: the one wants a token of its own, the other a header."""

    files: ClassVar[dict[str, str]] = {}
    refusals: ClassVar[list[int]] = []

    def do_PUT(self) -> None:
        """Hand out a token for a lifetime."""
        wished = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer("TOKEN" if self.path == "/latest/api/token" and wished else None)

    def do_GET(self) -> None:
        """Hand out a file to who knows how to ask."""
        google = self.path.startswith("/computeMetadata/v1/")
        if google and self.headers.get("Metadata-Flavor") != "Google":
            self.send_error(403)
        elif not google and self.headers.get("X-aws-ec2-metadata-token") != "TOKEN":
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
    write_files(tmp_path, {"class/dmi/id/sys_vendor": "Amazon EC2\n"})
    monkeypatch.setattr(launch_data, "SYS", tmp_path)
    monkeypatch.setattr(launch_data, "CREDENTIALS", tmp_path)
    Metadata.files = {}
    Metadata.refusals.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    monkeypatch.setattr(launch_data, "METADATA", f"127.0.0.1:{server.server_port}")
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


def test_google_s_metadata_is_a_source(tmp_path: Path, metadata: type[Metadata]) -> None:
    """The template's part and the group's window are one; without a window a server is sealed.

    Its name is what the target calls it, by the last part of the instance's.
    """
    write_files(tmp_path, {"class/dmi/id/sys_vendor": "Google\n"})
    assert launch_data.find_launch_data() == {}
    place, instance = "/computeMetadata/v1/instance", "web-3f2a9c41-0a1b2c3d-x7k2"
    part = {"service": "web", "generation": "3f2a9c41", "env": {"A": "b"}}
    metadata.files = {
        f"{place}/name": instance,
        f"{place}/attributes/immutable-launch": json.dumps(part),
        f"{place}/attributes/immutable-window": "",
    }
    name = name_server(Scope("shop", "dev", "web", "3f2a9c41"), instance)
    sealed = {**part, "server": name}
    assert launch_data.find_launch_data() == sealed
    window = render_window("ssh-ed25519 KEY", 2000000000, "ssh-ed25519 PEOPLE")
    metadata.files[f"{place}/attributes/immutable-window"] = window
    opened = launch_data.find_launch_data()
    assert opened == {
        **sealed,
        "login_key": "ssh-ed25519 KEY",
        "inspection_key": "ssh-ed25519 PEOPLE",
        "window_ends": 2000000000,
    }


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
    """Only a machine that says it is EC2's asks EC2, or Google's Google."""
    launch = "/computeMetadata/v1/instance/attributes/immutable-launch"
    metadata.files = {"/latest/user-data": "not asked for", launch: "neither"}
    write_files(tmp_path, {"class/dmi/id/sys_vendor": "QEMU\n"})
    assert launch_data.find_launch_data() == {}
    monkeypatch.setattr(launch_data, "SYS", tmp_path / "missing")
    assert launch_data.find_launch_data() == {}


EC2_UUID, SWAPPED = "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "16192EEC-9990-AF7C-FD21-012345ABCDEF"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"sys_vendor": "Amazon EC2"}, True),
        ({"sys_vendor": "Xen", "product_uuid": EC2_UUID, "product_serial": EC2_UUID}, True),
        ({"sys_vendor": "Xen", "product_uuid": SWAPPED, "product_serial": SWAPPED.lower()}, True),
        ({"sys_vendor": "Xen", "../../../hypervisor/uuid": EC2_UUID.lower()}, True),
        ({"sys_vendor": "Xen", "../../../hypervisor/uuid": "45e12aec-dcd1-b213-94ed-01"}, True),
        ({"sys_vendor": "QEMU", "product_uuid": EC2_UUID, "product_serial": ""}, False),
        ({"sys_vendor": "Xen", "../../../hypervisor/uuid": "f1d1e2c3-dcd1-b213-94ed-01"}, False),
        ({"sys_vendor": "Xen"}, False),
    ],
)
def test_an_ec2_instance_is_known_on_each_hypervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, said: dict[str, str], expected: bool
) -> None:
    """By its vendor on Nitro, on Xen by its UUID in either byte order; a QEMU's own is chance."""
    (tmp_path / "class/dmi/id").mkdir(parents=True)
    write_files(tmp_path / "class/dmi/id", said)
    monkeypatch.setattr(launch_data, "SYS", tmp_path)
    assert launch_data.is_ec2() is expected


def test_unknown_command_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error changes nothing."""
    assert seal.main(["later"]) == 2
    assert "usage" in capsys.readouterr().err
    assert not run.exists()


def test_a_sealed_server_says_less_on_a_slow_console(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the seal, or from a boot without a window; while it is verified the console has all."""
    sealed, journal = tmp_path / "sealed.conf", tmp_path / "run/journald.conf.d/sealed.conf"
    monkeypatch.setattr(seal, "SEALED_JOURNAL", sealed)
    monkeypatch.setattr(seal, "JOURNAL", journal)
    restart = ("systemctl", "--no-block", "restart", "systemd-journald.service")
    monkeypatch.setattr(seal, "find_launch_data", dict)
    seal.boot()
    assert restart not in calls
    sealed.write_text("[Journal]\nMaxLevelConsole=warning\n")
    launch = {**LAUNCH, "window_ends": int(time.time()) + 60}
    monkeypatch.setattr(seal, "find_launch_data", lambda: launch)
    seal.boot()
    assert (run / "open").exists()
    assert not journal.exists()
    seal.close_now()
    assert journal.read_text() == sealed.read_text()
    # The end of sshd's unit ends this process too, which is one of its sessions.
    assert calls[-2:] == [restart, ("systemctl", "--no-block", "stop", "ssh.service")]
    journal.unlink()
    monkeypatch.setattr(seal, "find_launch_data", dict)
    seal.boot()
    assert journal.exists()
