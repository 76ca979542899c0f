"""How servers are logged in to: the written settings, and commands by a pretended ssh."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError
from immutable_servers.targets.shared.ssh import (
    USED_COMMAND,
    Answer,
    Host,
    Way,
    describe_used,
    find_names,
    find_used,
    render_mark,
    run_remote,
    wait_until_logins,
    write_ssh_config,
)

PretendSsh = Callable[[str], None]


@pytest.fixture
def pretend_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretendSsh:
    """Return a function that puts a shell script in the place of ssh."""

    def write(script: str) -> None:
        file = tmp_path / "bin/ssh"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return write


def test_known_host_keys_are_the_only_ones_taken(tmp_path: Path) -> None:
    """Where the target knows every host key, a server with another key is refused."""
    hosts = [Host("web-1", "127.0.0.1", 20001, "ssh-ed25519 AAAA")]
    text = write_ssh_config(tmp_path, hosts, Way(sockets=Path("/run/sockets"))).read_text()
    assert "Host web-1\n  HostName 127.0.0.1\n  Port 20001\n  HostKeyAlias web-1\n" in text
    assert "  StrictHostKeyChecking yes\n" in text
    assert '  ControlPath "/run/sockets/%C"\n' in text
    assert (tmp_path / "known_hosts").read_text() == "web-1 ssh-ed25519 AAAA\n"


def test_an_unknown_host_key_is_taken_once(tmp_path: Path) -> None:
    """It is kept in a file of the generation, which a later login does not empty."""
    (tmp_path / "known_hosts").write_text("web-1 ssh-ed25519 BBBB\n")
    way = Way(options=["ProxyJump jump.example.com"], include=Path("/home/me/my config"))
    text = write_ssh_config(tmp_path, [Host("web-1", "10.0.0.1")], way).read_text()
    assert text.startswith('Include "/home/me/my config"\nHost web-1\n')
    assert "  StrictHostKeyChecking accept-new\n" in text
    assert "  ProxyJump jump.example.com\n" in text
    assert "Control" not in text
    assert (tmp_path / "known_hosts").read_text() == "web-1 ssh-ed25519 BBBB\n"


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is missing")
def test_a_server_has_options_of_its_own(tmp_path: Path) -> None:
    """The real ssh takes them for that server, and for no other one."""
    tunnel = "ProxyCommand tunnel %h %p --zone=a"
    hosts = [Host("web-1", "web-x7k2", options=(tunnel,)), Host("web-2", "10.0.0.2")]
    config = write_ssh_config(tmp_path, hosts, Way())
    said = {
        name: subprocess.run(
            ["ssh", "-G", "-F", config, name], capture_output=True, text=True, check=True
        ).stdout
        for name in ("web-1", "web-2")
    }
    assert "\nproxycommand tunnel %h %p --zone=a\n" in said["web-1"]
    assert "proxycommand" not in said["web-2"]


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is missing")
def test_a_login_is_noted_before_it_works(tmp_path: Path) -> None:
    """The real ssh runs the mark for the named server alone, and without it has no way in."""
    folder = tmp_path / "a $(folder) of mine"
    folder.mkdir()
    own = tmp_path / "own"
    own.write_text("ControlMaster auto\nControlPath ~/%r@%h:%p\n")
    mark, hosts = folder / "used", [Host("web-1", "10.0.0.1", 20001), Host("web-2", "10.0.0.2")]
    config = write_ssh_config(folder, hosts, Way(include=own), render_mark(mark))

    def ask(name: str) -> str:
        command = ["ssh", "-G", "-F", str(config), name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "hostname other" in ask("other")
    assert not mark.exists()
    said = ask("web-1")
    assert mark.read_text().endswith("Z\n")
    assert mark.read_text().count("\n") == 1
    assert {"hostname 10.0.0.1", "port 20001", "user root"} <= {*said.splitlines()}
    assert "controlmaster false" in said
    assert "controlpath" not in said
    assert f"identityfile {folder / 'key'}" in said
    mark.unlink()
    mark.mkdir()
    refused = ask("web-1")
    assert "hostname web-1" in refused
    assert str(folder / "key") not in refused
    assert [render_mark(tmp_path / name) for name in ("it's", 'a "', "a\\")] == [""] * 3


def test_only_this_user_reads_the_settings(tmp_path: Path) -> None:
    """They name the key, and ssh refuses files that others may write."""
    config = write_ssh_config(tmp_path, [Host("web-1", "10.0.0.1")], Way())
    assert config.stat().st_mode & 0o077 == 0


def test_the_servers_of_a_folder_are_found_in_its_settings(tmp_path: Path) -> None:
    """The block for all hosts is no server, and a folder without settings has none."""
    assert find_names(tmp_path) == []
    write_ssh_config(tmp_path, [Host("web-1", "10.0.0.1"), Host("web-2", "10.0.0.2")], Way())
    assert find_names(tmp_path) == ["web-1", "web-2"]


def test_a_command_that_fails_is_told_in_its_own_words(
    tmp_path: Path, pretend_ssh: PretendSsh
) -> None:
    """One that works has no failure; one that prints nothing is named by its exit code."""
    config = tmp_path / "ssh_config"
    pretend_ssh("echo it works; exit 0")
    assert run_remote(config, "web-1", "true") == Answer("it works\n", "")
    pretend_ssh("echo 'Permission denied' >&2; exit 255")
    assert run_remote(config, "web-1", "true") == Answer("", "Permission denied")
    pretend_ssh("exit 3")
    assert run_remote(config, "web-1", "true") == Answer("", "exit 3")


@pytest.mark.parametrize(
    ("answer", "has_sealed"),
    [
        (Answer("sealed\n"), True),
        (Answer(), True),
        (Answer("sealed\n2026-11-28T12:03:04Z\n", "Connection closed by remote host"), True),
        (Answer("", "ssh: connect to host 10.0.0.1 port 22: Connection refused"), True),
        (Answer("", "ssh: connect to host 10.0.0.1 port 22: Connection timed out"), False),
        (Answer("", "ssh: Could not resolve hostname web-1: Name or service not known"), False),
        (Answer("", "No route to host"), False),
        (Answer("", "Host key verification failed."), False),
        (Answer("", "exit 255"), False),
    ],
)
def test_a_server_that_was_not_reached_has_not_sealed(answer: Answer, *, has_sealed: bool) -> None:
    """Only its own word counts, or that nobody listens: ssh's other failures prove nothing."""
    assert answer.has_sealed is has_sealed


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", ""),
        ("\n", ""),
        ("2026-11-28T12:03:04Z\n", "somebody logged in to web-1 at 2026-11-28T12:03:04Z"),
        (
            "2026-11-28T12:03:04Z 2001:db8::7\n2026-11-28T12:09:00Z\n",
            "somebody logged in to web-1 at 2026-11-28T12:03:04Z from 2001:db8::7",
        ),
        ("\x1b[31mboo", "somebody logged in to web-1"),
        ("2026-11-28T12:03:04Z ::warning::x", "somebody logged in to web-1"),
    ],
)
def test_a_login_is_described_by_what_is_a_time_and_an_address(said: str, line: str) -> None:
    """Whatever else the server says goes nowhere, and is no reason to take it for unused."""
    assert describe_used("web-1", said) == line


def test_a_server_that_does_not_say_who_was_there_is_an_error(
    tmp_path: Path, pretend_ssh: PretendSsh
) -> None:
    """No answer is not nobody."""
    pretend_ssh("exit 0")
    assert find_used(tmp_path, "web-1") == ""
    pretend_ssh("echo 2026-11-28T12:03:04Z; exit 0")
    assert find_used(tmp_path, "web-1").startswith("somebody logged in to web-1 at 2026")
    pretend_ssh("echo 'Connection timed out' >&2; exit 255")
    with pytest.raises(LaunchError, match="does not say whether somebody logged in"):
        find_used(tmp_path, "web-1")


def test_the_question_answers_with_the_file(tmp_path: Path) -> None:
    """A missing file is nobody, and one that cannot be read is a failure, not silence."""
    used = tmp_path / "used"
    question = USED_COMMAND.replace("/var/lib/immutable/used", str(used))
    assert question != USED_COMMAND

    def ask() -> tuple[int, bytes]:
        done = subprocess.run(["sh", "-c", question], stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout

    assert ask() == (0, b"")
    used.write_text("2026-11-28T12:03:04Z\n")
    assert ask() == (0, b"2026-11-28T12:03:04Z\n")
    used.unlink()
    used.mkdir()
    assert ask()[0] != 0


def test_a_server_that_takes_no_login_is_named(tmp_path: Path, pretend_ssh: PretendSsh) -> None:
    """The error has ssh's last words and the target's advice, and not where the key is."""
    pretend_ssh("echo 'Connection refused' >&2; exit 255")
    login = Login("web-1", "ssh://web-1", str(tmp_path / "ssh_config"))
    with pytest.raises(LaunchError) as caught:
        wait_until_logins([login], 0, "Look at the network.")
    assert caught.value.what == "The server web-1 takes no login"
    assert caught.value.facts == ("Connection refused", "tried for 0 s")
    assert caught.value.todo == "Look at the network."


def test_logins_are_tried_until_they_work(tmp_path: Path, pretend_ssh: PretendSsh) -> None:
    """A server that is still booting is asked again; servers are waited for side by side."""
    pretend_ssh(f"test -e {tmp_path}/$4 || {{ touch {tmp_path}/$4; exit 255; }}")
    logins = [Login(f"web-{n}", f"ssh://web-{n}", str(tmp_path / "ssh_config")) for n in range(4)]
    began = time.monotonic()
    wait_until_logins(logins, 20, "")
    assert time.monotonic() - began < 10
