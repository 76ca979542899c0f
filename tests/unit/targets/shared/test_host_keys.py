"""Host keys in the text of a console, which applications write to as well."""

import pytest

from immutable_servers.targets.shared.host_keys import read_host_key

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFirst"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f"immutable-seal[311]: host key {HOST_KEY}", HOST_KEY),
        (f"[    9.123456] immutable-seal[311]: host key {HOST_KEY}\r", HOST_KEY),
        (f"app[400]: immutable-seal[311]: host key {HOST_KEY}", ""),
        (f"[   10.000000] app[400]: immutable-seal[311]: host key {HOST_KEY}", ""),
        (f"immutable-seal[311]: host key {HOST_KEY} and more", ""),
        ("immutable-seal[311]: host key ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC", ""),
        ("", ""),
    ],
)
def test_only_the_seal_says_a_host_key(line: str, key: str) -> None:
    """What an application prints has its own name before it; a reboot's key is the last one."""
    other = "immutable-seal[300]: host key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther"
    assert read_host_key(f"{line}\n") == key
    assert read_host_key(f"{other}\n{line}\n") == (key or other.partition("key ")[2])
