"""What git says of the checkout; a folder outside of git is no error."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """The checkout's commit.

    Attributes:
        id: 40 hex digits, empty outside of git or before the first commit.
        clean: Whether the tree is as committed.
    """

    id: str
    clean: bool


def read_commit(folder: Path) -> Commit:
    """Return the commit that is checked out, and whether the tree differs from it."""
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return Commit("", clean=False)
    return Commit(head, clean=not _git(folder, "status", "--porcelain"))


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
