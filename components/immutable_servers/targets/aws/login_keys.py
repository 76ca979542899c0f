"""A generation's login key and window: made, used, and closed for good.

The private key is a file on the machine that runs the program, and never in Pulumi's state.
"""

from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.system import places
from immutable_servers.system.keys import find_or_make_key_pair
from immutable_servers.targets.aws.names import make_name

KEY = "key"


def find_folder(scope: Scope) -> Path:
    """Return the private folder of a generation's login, which need not exist."""
    return places.data_dir() / "aws" / make_name(scope)


def make_key(scope: Scope) -> str:
    """Make or find a generation's login key; return the public key."""
    return find_or_make_key_pair(find_folder(scope) / KEY, scope.name)


def delete_key(scope: Scope) -> None:
    """Delete a generation's login key and what belongs to it; a missing one is no error."""
    folder = find_folder(scope)
    for file in folder.glob("*"):
        file.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()
