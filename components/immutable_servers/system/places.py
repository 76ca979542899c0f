"""Where things live on the machine that runs the program; each can be moved by a variable."""

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from immutable_servers.errors import SetupError

NAME = "immutable-servers"
PROJECT_FOLDER = ".immutable"
"""In the project, ignored by git: the file backend, its passphrase, logs, reports."""
PROJECT_FILE = "Pulumi.yaml"
OWNER_LINK = "of"
"""In a folder for sockets: a link to the folder whose sockets they are."""
SOCKETS_LINK = "sockets"
"""In the data folder: a link to the root of the folders for sockets, where it has no usual name."""
SHARED = Path("/tmp")  # noqa: S108 - owner and mode of what lies in it are checked
OTHERS = 0o077


def data_dir() -> Path:
    """Return the folder of the local target's images and machines, shared by all checkouts."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / NAME


def cache_dir() -> Path:
    """Return the folder of what can be made again: the toolchain, file digests."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / NAME


def stack_file(project_root: Path, stack: str) -> Path:
    """Return where a stack's file is, or would be."""
    return project_root / f"Pulumi.{stack}.yaml"


def make_private_places(project_root: Path) -> None:
    """Make the three folders, and close those of earlier versions, so that only this user enters.

    Images and disks may hold what a bake was given, states and logs the whole configuration.
    """
    for folder in list_places(project_root):
        with suppress(OSError):  # on a read-only disk, or another user's: `doctor` says so
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & OTHERS:
                folder.chmod(0o700)


def list_places(project_root: Path) -> Sequence[Path]:
    """Return the folders of data, cache and project, which may not be there."""
    return data_dir(), cache_dir(), project_root / PROJECT_FOLDER


def is_private(folder: Path) -> bool:
    """Return whether this is a folder, and no link, that this user owns and no other enters."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = found.st_uid == os.getuid() and not found.st_mode & OTHERS
    return ours and stat.S_ISDIR(found.st_mode)


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
        SetupError: XDG_RUNTIME_DIR names a folder that is not this user's alone.
    """
    _make_runtime_root()
    made = find_runtime_dir(folder)
    made.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        (made / OWNER_LINK).symlink_to(folder.resolve())
    return made


def find_runtime_dir(folder: Path) -> Path:
    """Return the name of the folder that `runtime_dir` makes; nothing is made."""
    return runtime_root() / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


def runtime_root() -> Path:
    """Return the folder of all folders for sockets.

    Without XDG_RUNTIME_DIR it has a name in /tmp that everybody knows, and can take first. Then it
    is one with a name that nobody knew, which the data folder keeps for later runs.
    """
    own = os.environ.get("XDG_RUNTIME_DIR")
    if own:
        return Path(own, "immutable")
    link = data_dir() / SOCKETS_LINK
    kept = link.readlink() if link.is_symlink() else None
    return kept if kept and is_private(kept) else SHARED / f"immutable-{os.getuid()}"


def _make_runtime_root() -> None:
    root = runtime_root()
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    if is_private(root):
        return
    if os.environ.get("XDG_RUNTIME_DIR"):
        there = root.lstat()
        raise SetupError(
            f"The folder for sockets, {root}, is not private to this user",
            facts=[
                f"owner {there.st_uid}, mode {there.st_mode & 0o777:o}; wanted {os.getuid()}, 700"
            ],
            todo="Remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    _make_other_root()


def _make_other_root() -> None:
    """Make a root whose name nobody can take first, once for all runs that come here together."""
    data = data_dir()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_private(runtime_root()):
            link = data / SOCKETS_LINK
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(prefix="immutable-", dir=SHARED))
    finally:
        os.close(lock)
