"""Keeps the files of a login in a private folder here; no key is ever in Pulumi's state.

```
key, key.pub, ssh_config, known_hosts   the verifier's login
inspection/                             people's: the same files, with a key of its own, and
inspection/used                         a line for each time that somebody used them
```
"""

from pathlib import Path

from immutable_servers.system.keys import find_or_make_key_pair

KEY, CONFIG, KNOWN_HOSTS = "key", "ssh_config", "known_hosts"
INSPECTION, USED = "inspection", "used"


def make_key(folder: Path, comment: str) -> str:
    """Make or find the key pair in a folder; return the public key."""
    return find_or_make_key_pair(folder / KEY, comment)


def delete_key(folder: Path) -> None:
    """Delete the files of a login and of people's, and the folder when nothing else is in it."""
    if not folder.is_dir():
        return
    delete_key(folder / INSPECTION)
    logs = folder.glob("ssh-*.log")
    names = (KEY, f"{KEY}.pub", CONFIG, KNOWN_HOSTS, USED)
    for file in (*(folder / name for name in names), *logs):
        file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def note_inspection(folder: Path) -> None:
    """Note that people's login was used, as a server said, at a time that is not known here."""
    (folder / INSPECTION).mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / INSPECTION / USED).touch()


def find_inspection(folder: Path) -> str:
    """Return how people's login was used; empty when it was not, and when there is no login.

    A launch by an earlier program made one key, and a failed verification printed how to use it.
    """
    people = folder / INSPECTION
    if (folder / KEY).exists() and not (people / KEY).exists():
        return "an earlier program gave its only login to people"
    if not (people / USED).exists():
        return ""
    first = (people / USED).read_text(encoding="utf-8").partition("\n")[0]
    return f"somebody used its login{f' at {first}' if first else ''}"
