"""What git says of the checkout; a folder outside of git is no error."""

import subprocess
from collections.abc import Sequence
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


WORDS = {"A": "added", "D": "removed"}
"""Letters of `git diff --name-status`; every other one is a change."""


def find_changes(folder: Path, commit: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Return path and `added`, `removed` or `changed` of what differs from a commit below `paths`.

    Empty outside of git, and where the commit is not known, as in a shallow clone. Files that git
    does not track yet are added ones.
    """
    if not commit:
        return []
    names = _git(
        folder, "diff", "--no-renames", "--name-status", "--relative", commit, "--", *paths
    )
    found = [line.split("\t", 1) for line in names.splitlines() if "\t" in line]
    fresh = _git(folder, "ls-files", "--others", "--exclude-standard", "--", *paths).splitlines()
    known = [(path, WORDS.get(letter, "changed")) for letter, path in found]
    return sorted([*known, *((path, "added") for path in fresh)])


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
