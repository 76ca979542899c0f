"""`logs`: the consoles of servers that exist, and for a week of those that are gone."""

import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from harness.checkout import ROOT
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.driver.commands.logs import Reader, choose_generation, run_logs
from immutable_servers.driver.opened import Opened
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.local import LocalTarget, consoles, layout

SAMPLE = ROOT / "tests/engine/sample"
SCOPE = Scope("immutable-servers", "dev", "web", "aaaaaaaa")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on the local target, with data of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    root = tmp_path / "project"
    shutil.copytree(SAMPLE, root)
    service = {"image": "app", "servers": 1, "port": 80, "route": {"port": 8080}}
    values = {
        "target": "local",
        "images": {"base": {}, "app": {"parent": "base", "sources": ["app"]}},
        "services": {"web": service},
    }
    config = {f"immutable-servers:{key}": value for key, value in values.items()}
    (root / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    return root


def write_console(scope: Scope, number: int, text: str) -> Path:
    """Write a server's console, and return the server's folder."""
    folder = layout.generation_dir(scope) / "servers" / str(number)
    folder.mkdir(parents=True)
    (folder / "console.log").write_text(text)
    return folder


def test_a_console_outlives_its_server(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a server that went is found under the same name, without terminal codes."""
    server = write_console(SCOPE, 0, "\x1b[!p\x1b]104\x07one\n\x1b[0;32mtwo\x1b[0m\x1b(B\r\n")
    write_console(SCOPE, 1, "three\n")
    assert run_logs(Opened(project, "dev"), "web", "", follow=False) == 0
    expected = "web-aaaaaaaa-0 | one\nweb-aaaaaaaa-0 | two\nweb-aaaaaaaa-1 | three\n"
    assert capsys.readouterr().out == expected
    consoles.keep_consoles(SCOPE, [server])
    assert not (server / "console.log").exists()
    assert run_logs(Opened(project, "dev"), "", "aaaaaaaa", follow=False) == 0
    assert capsys.readouterr().out == expected


def test_a_console_is_data(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server prints moves no cursor, hides no text and is no command of GitHub's runner."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write_console(SCOPE, 0, "a\x9b2J\u202eb\rc##[error]d\n")
    assert run_logs(Opened(project, "dev"), "web", "", follow=False) == 0
    assert capsys.readouterr().out == "web-aaaaaaaa-0 | a\\x9b2J\\u202ebc# #[error]d\n"


def test_a_line_without_end_is_shown_as_it_comes(tmp_path: Path) -> None:
    """It is not kept until it ends, which may be never."""
    file = tmp_path / "console.log"
    file.write_text("x" * 100_000)
    reader = Reader("web-0", file)
    assert reader.read_lines() == [f"web-0 | {'x' * 100_000}"]
    file.write_text("x" * 100_000 + "y\n")
    assert reader.read_lines() == ["web-0 | y"]


@pytest.mark.usefixtures("project")
def test_consoles_are_kept_for_a_week() -> None:
    """An older one goes when the next server does; nobody else's is found."""
    old = write_console(SCOPE, 0, "old\n")
    consoles.keep_consoles(SCOPE, [old])
    (kept,) = consoles.find_consoles(SCOPE).values()
    long_ago = time.time() - consoles.KEPT_SECONDS - 1
    os.utime(kept, (long_ago, long_ago))
    other = Scope("immutable-servers", "dev", "web-admin", "bbbbbbbb")
    consoles.keep_consoles(other, [write_console(other, 0, "new\n")])
    service = Scope("immutable-servers", "dev", "web")
    assert consoles.find_consoles(service) == {}
    assert list(consoles.find_consoles(other)) == ["web-admin-bbbbbbbb-0"]


@pytest.mark.usefixtures("project")
def test_a_missing_log_does_not_stop_a_deletion() -> None:
    """A server that never booted has none."""
    folder = layout.generation_dir(SCOPE) / "servers" / "0"
    folder.mkdir(parents=True)
    consoles.keep_consoles(SCOPE, [folder])
    assert consoles.find_consoles(SCOPE) == {}


def test_a_follower_reads_on_when_the_log_moves(tmp_path: Path) -> None:
    """Lines come once each, whole ones only, also after the server has gone."""
    file = tmp_path / "console.log"
    file.write_text("one\ntw")
    reader = Reader("web", file)
    assert reader.read_lines() == ["web | one"]
    with file.open("a") as stream:
        stream.write("o\n")
    reader.file = file.rename(tmp_path / "kept.log")
    assert reader.read_lines() == ["web | two"]
    assert reader.read_lines() == []


@pytest.mark.parametrize(
    ("target", "tool"),
    [
        (GcpTarget, "`gcloud compute instances get-serial-port-"),
        (AwsTarget, "`aws ec2 get-console-"),
    ],
)
def test_where_no_log_is_kept_the_clouds_tool_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, target: type[Target], tool: str
) -> None:
    """A server's console is at the cloud alone, and only while the server lives."""
    monkeypatch.setattr(LocalTarget, "consoles_hint", "")
    monkeypatch.setattr(LocalTarget, "consoles_command", target.consoles_command)
    with pytest.raises(SettingsError) as raised:
        run_logs(Opened(project, "dev"), "web", "cccccccc", follow=False)
    assert tool in raised.value.todo


def test_what_has_no_log_is_told_what_has(project: Path) -> None:
    """A wrong generation names those with logs, a wrong service the nearest one."""
    write_console(SCOPE, 0, "one\n")
    with pytest.raises(SettingsError) as wrong:
        run_logs(Opened(project, "dev"), "web", "cccccccc", follow=False)
    assert wrong.value.facts == ("Generations with logs: aaaaaaaa",)
    with pytest.raises(SettingsError, match="Did you mean web"):
        run_logs(Opened(project, "dev"), "wab", "", follow=False)
    assert choose_generation(Opened(project, "dev").choose_service("web")) == "aaaaaaaa"
