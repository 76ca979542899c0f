"""The key pair that opens a generation's servers, and the other files of its login.

They lie in a private folder on the machine that runs the program, which the target names. The
private key is never in Pulumi's state.
"""

import subprocess
from pathlib import Path

from immutable_servers.errors import SetupError

KEY, CONFIG, KNOWN_HOSTS = "key", "ssh_config", "known_hosts"


def make_key(folder: Path, comment: str) -> str:
    """Make or find the key pair in a folder; return the public key."""
    private, public = folder / KEY, folder / f"{KEY}.pub"
    if not (private.exists() and public.exists()):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_key_pair(private, comment)
    return read_public_key(private)


def delete_key(folder: Path) -> None:
    """Delete the files of a login, and the folder when nothing else is in it."""
    if not folder.is_dir():
        return
    logs = folder.glob("ssh-*.log")
    for file in (folder / KEY, folder / f"{KEY}.pub", folder / CONFIG, folder / KNOWN_HOSTS, *logs):
        file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def make_key_pair(private: Path, comment: str) -> None:
    """Make an ed25519 key pair at `private` and beside it, in place of any that is there.

    Raises:
        SetupError: ssh-keygen is missing.
    """
    for file in (private, private.with_name(f"{private.name}.pub")):
        file.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    except FileNotFoundError as error:
        raise SetupError(
            "ssh-keygen is missing",
            facts=["A key could not be made"],
            todo="Run ./immutable doctor: it names the Debian package.",
        ) from error


def read_public_key(private: Path) -> str:
    """Return the public half of a key pair, as one line."""
    return private.with_name(f"{private.name}.pub").read_text(encoding="ascii").strip()
