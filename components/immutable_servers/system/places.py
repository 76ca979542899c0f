"""Where things live on the machine that runs the program; each can be moved by a variable."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from immutable_servers.errors import SetupError

NAME = "immutable-servers"
PROJECT_FOLDER = ".immutable"
"""In the project, ignored by git: the file backend, its passphrase, logs, reports."""
OWNER_LINK = "of"
"""In a folder for sockets: a link to the folder whose sockets they are."""


def data_dir() -> Path:
    """Return the folder of the local target's images and machines, shared by all checkouts."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / NAME


def cache_dir() -> Path:
    """Return the folder of what can be made again: the toolchain, file digests."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / NAME


def logs_dir(project_root: Path) -> Path:
    """Return the folder of a project's logs, made when missing."""
    folder = project_root / PROJECT_FOLDER / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reports_dir(project_root: Path) -> Path:
    """Return the folder of a project's verification reports, made when missing."""
    folder = project_root / PROJECT_FOLDER / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def runtime_dir(folder: Path) -> Path:
    """Return a short private folder for the sockets of `folder`, made when missing.

    A Unix socket's path holds at most 107 bytes (unix(7)), which a data folder may exceed. ssh
    takes 17 of them beside a socket's name while it makes one. A link in it says whose it is.

    Raises:
        SetupError: Somebody else owns the folder of that name.
    """
    parent = runtime_root()
    parent.mkdir(mode=0o700, exist_ok=True)
    found = parent.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SetupError(
            f"The folder for sockets, {parent}, is not private to this user",
            facts=[
                f"owner {found.st_uid}, mode {found.st_mode & 0o777:o}; wanted {os.getuid()}, 700"
            ],
            todo="Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    made = find_runtime_dir(folder)
    made.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        (made / OWNER_LINK).symlink_to(folder.resolve())
    return made


def find_runtime_dir(folder: Path) -> Path:
    """Return the name of the folder that `runtime_dir` makes; nothing is made."""
    return runtime_root() / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


def runtime_root() -> Path:
    """Return the folder of all folders for sockets."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    shared = f"/tmp/immutable-{os.getuid()}"  # noqa: S108 - owner and mode are checked
    return Path(own, "immutable") if own else Path(shared)
