"""A generation's login key and window: made, used, and closed for good.

The private key is a file on the machine that runs the program, and never in Pulumi's state.
"""

import subprocess
from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.system import places
from immutable_servers.targets.aws.names import make_name

KEY = "key"


def find_folder(scope: Scope) -> Path:
    """Return the private folder of a generation's login, which need not exist."""
    return places.data_dir() / "aws" / make_name(scope)


def make_key(scope: Scope) -> str:
    """Make or find a generation's login key; return the public key."""
    folder = find_folder(scope)
    private, public = folder / KEY, folder / f"{KEY}.pub"
    if not (private.exists() and public.exists()):
        make_key_pair(private, scope.name)
    return public.read_text(encoding="ascii").strip()


def make_key_pair(private: Path, comment: str) -> None:
    """Write a new key pair into a folder that only this user can read."""
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in (private, private.with_suffix(".pub")):
        file.unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)]
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True)


def delete_key(scope: Scope) -> None:
    """Delete a generation's login key and what belongs to it; a missing one is no error."""
    folder = find_folder(scope)
    for file in folder.glob("*"):
        file.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()
