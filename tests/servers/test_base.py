"""The promises of the base image: what every server keeps, whatever runs on it."""

import json
from typing import Any

import pytest
from testinfra.host import Host  # type: ignore[import-untyped]

SSHD = {
    "permitrootlogin": ("without-password", "prohibit-password"),
    "pubkeyauthentication": ("yes",),
    "passwordauthentication": ("no",),
    "kbdinteractiveauthentication": ("no",),
    "permitemptypasswords": ("no",),
    "authorizedkeysfile": ("/run/immutable/authorized_keys",),
    "authorizedkeyscommand": ("none",),
    "authorizedprincipalscommand": ("none",),
    "trustedusercakeys": ("none",),
    "allowusers": ("root",),
    "allowtcpforwarding": ("no",),
    "allowagentforwarding": ("no",),
    "x11forwarding": ("no",),
}
DHCP = {"udp 68", "udp 546"}
"""Where a server that got its address from its network renews it."""


@pytest.fixture(scope="module")
def listening(host: Host) -> set[str]:
    """Return the sockets that listen for others than the server itself, such as `tcp 80`."""
    found = set()
    for line in host.check_output("ss --no-header --numeric --listening --tcp --udp").splitlines():
        protocol, _, _, _, local, *_ = line.split()
        address, _, port = local.rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            found.add(f"{protocol} {port}")
    return found


def test_only_the_declared_ports_listen(listening: set[str], expected: dict[str, Any]) -> None:
    """What can be reached from outside is the service's port, and SSH while its window is open."""
    assert listening - DHCP == {f"tcp {expected['port']}", "tcp 22"}


def test_sshd_takes_keys_only(host: Host) -> None:
    """No password opens a login, and no key but the launch's."""
    lines = host.check_output("/usr/sbin/sshd -T").splitlines()
    said = dict(line.split(" ", 1) for line in lines if " " in line)
    assert {name: said[name] for name, allowed in SSHD.items() if said[name] not in allowed} == {}


def test_sshd_needs_the_seal(host: Host) -> None:
    """Without the file that the seal makes, sshd does not start, and no socket starts it."""
    unit = host.check_output("systemctl cat ssh.service")
    assert "ConditionPathExists=/run/immutable/open" in unit
    assert host.run("systemctl is-enabled ssh.socket").stdout.strip() == "masked"


def test_the_window_ends_by_itself(host: Host) -> None:
    """A timer closes the window; nobody has to remember it."""
    assert host.service("immutable-seal-now.timer").is_running


def test_the_server_remembers_people(host: Host) -> None:
    """No key but the verifier's gets in without a note, and nobody was in so far."""
    _, *others = host.check_output("cat /run/immutable/authorized_keys").splitlines()
    noted = 'restrict,pty,command="/usr/local/sbin/immutable-seal inspect" '
    assert [line for line in others if not line.startswith(noted)] == []
    assert not host.file("/var/lib/immutable/used").exists


def test_no_account_has_a_password(host: Host) -> None:
    """Nobody can log in with a password, not even at the console."""
    shadow = host.check_output("cat /etc/shadow").splitlines()
    hashes = {line.split(":")[0]: line.split(":")[1] for line in shadow}
    assert {name: hash_ for name, hash_ in hashes.items() if hash_[:1] not in {"*", "!"}} == {}


def test_no_key_is_baked_in(host: Host) -> None:
    """The image brings no authorized key and no host key along."""
    places = "/root/.ssh/authorized_keys* /home/*/.ssh/authorized_keys* /etc/ssh/ssh_host_*"
    assert host.run(f"ls -d {places} 2>/dev/null").stdout == ""


def test_no_cloud_lets_anybody_in(host: Host) -> None:
    """What Google's images bring along to make users, take keys or run scripts cannot start.

    An image of another cloud has none of it.
    """
    listed = "systemctl list-unit-files --plain --no-legend --full 'google-*' 'gce-workload-*'"
    states = dict(line.split()[:2] for line in host.run(listed).stdout.splitlines())
    states.pop("google-disk-expand.service", None)  # it lets nobody in
    assert {name: state for name, state in states.items() if state != "masked"} == {}
    places = "/etc/nsswitch.conf /etc/pam.d /etc/sudoers.d"
    assert host.run(f"grep -rlE 'oslogin|google' {places} 2>/dev/null").stdout == ""
    users = host.run("getent group google-sudoers").stdout.strip()
    assert users.rpartition(":")[2] == ""


def test_the_machine_id_is_its_own(host: Host) -> None:
    """The machine id was made at first boot."""
    assert len(host.check_output("cat /etc/machine-id")) == len("0" * 32)


def test_the_server_has_its_own_name(host: Host, expected: dict[str, Any]) -> None:
    """It calls itself what the launch calls it, and programs that look that name up find it."""
    name, address = host.check_output("hostname && getent hosts $(hostname)").splitlines()
    assert name == expected["server"]
    assert address.split() == ["127.0.1.1", name]


def test_nothing_says_where_the_image_was_baked(host: Host, expected: dict[str, Any]) -> None:
    """No name, lease or cloud-init's folder is that of the machine that baked it."""
    assert host.check_output("cat /etc/hostname") == expected["server"]
    assert host.check_output("grep -c '^127.0.1.1' /etc/hosts") == "1"
    places = "/var/lib/cloud/instance* /var/lib/cloud/data /var/lib/dhcp/*.leases"
    assert host.run(f"ls -d {places} 2>/dev/null").stdout == ""


def test_nothing_is_upgraded_in_place(host: Host) -> None:
    """No timer upgrades a package: a server is replaced."""
    timers = "apt-daily.timer apt-daily-upgrade.timer"
    assert "enabled" not in host.run(f"systemctl is-enabled {timers}").stdout.split()


def test_no_unit_has_failed(host: Host) -> None:
    """The boot went through without a failed unit."""
    assert host.check_output("systemctl --failed --plain --no-legend") == ""


def test_the_journal_goes_to_the_console(host: Host) -> None:
    """What a server says outlives it: the target keeps its console."""
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "ForwardToConsole=yes" in settings


def test_the_image_says_what_it_is(host: Host, expected: dict[str, Any]) -> None:
    """The image's own facts name the versions that were to be launched."""
    facts = json.loads(host.check_output("cat /etc/immutable/image.json"))
    assert facts["image"] == expected["image"]
    assert facts["version"] == expected["version"]
    assert facts["parents"] == expected["parents"]
