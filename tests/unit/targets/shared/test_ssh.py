"""How servers are logged in to: the written settings, and commands by a pretended ssh."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError
from immutable_servers.targets.shared.ssh import (
    Host,
    Way,
    find_names,
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
    """Nothing is returned of one that works; one that prints nothing is named by its exit code."""
    config = tmp_path / "ssh_config"
    pretend_ssh("echo it works; exit 0")
    assert run_remote(config, "web-1", "true") == ""
    pretend_ssh("echo 'Permission denied' >&2; exit 255")
    assert run_remote(config, "web-1", "true") == "Permission denied"
    pretend_ssh("exit 3")
    assert run_remote(config, "web-1", "true") == "exit 3"


def test_a_server_that_takes_no_login_is_named(tmp_path: Path, pretend_ssh: PretendSsh) -> None:
    """The error has ssh's last words, the command to try by hand, and the target's advice."""
    pretend_ssh("echo 'Connection refused' >&2; exit 255")
    login = Login("web-1", "ssh://web-1", str(tmp_path / "ssh_config"))
    with pytest.raises(LaunchError) as caught:
        wait_until_logins([login], 0, "Look at the network.")
    assert caught.value.what == "The server web-1 takes no login"
    assert caught.value.facts == ("Connection refused", f"tried for 0 s: {login.command}")
    assert caught.value.todo == "Look at the network."


def test_logins_are_tried_until_they_work(tmp_path: Path, pretend_ssh: PretendSsh) -> None:
    """A server that is still booting is asked again; servers are waited for side by side."""
    pretend_ssh(f"test -e {tmp_path}/$4 || {{ touch {tmp_path}/$4; exit 255; }}")
    logins = [Login(f"web-{n}", f"ssh://web-{n}", str(tmp_path / "ssh_config")) for n in range(4)]
    began = time.monotonic()
    wait_until_logins(logins, 20, "")
    assert time.monotonic() - began < 10
