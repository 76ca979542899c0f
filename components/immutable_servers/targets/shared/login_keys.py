"""Keeps the files of a login in a private folder here; no key is ever in Pulumi's state."""

from pathlib import Path

from immutable_servers.system.keys import find_or_make_key_pair

KEY, CONFIG, KNOWN_HOSTS = "key", "ssh_config", "known_hosts"


def make_key(folder: Path, comment: str) -> str:
    """Make or find the key pair in a folder; return the public key."""
    return find_or_make_key_pair(folder / KEY, comment)


def delete_key(folder: Path) -> None:
    """Delete the files of a login, and the folder when nothing else is in it."""
    if not folder.is_dir():
        return
    logs = folder.glob("ssh-*.log")
    for file in (folder / KEY, folder / f"{KEY}.pub", folder / CONFIG, folder / KNOWN_HOSTS, *logs):
        file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
