"""Applies `.gitignore` and `.imageignore` to paths, as git does (gitignore(5)).

Both kinds are read in every folder from the repository's root down, each kind by itself: a file is
left out when either says so, and only its own kind may take it back. Only files of the checkout
count; a user's global excludes and `.git/info/exclude` differ between machines. Git's index is not
asked either: a file that was added by force is still left out.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Self

from pathspec.patterns.gitwildmatch import GitWildMatchPattern, GitWildMatchPatternError

from immutable_servers.errors import ImageError

IGNORE_FILES = (".gitignore", ".imageignore")
_Rule = tuple[Callable[[str], object], bool]


@dataclass(frozen=True)
class _Frame:
    """One ignore file: where its folder begins in a path, and its rules, the last one first."""

    start: int
    rules: Sequence[_Rule]


@dataclass(frozen=True)
class IgnoreRules:
    """The rules that hold in one folder.

    Attributes:
        frames: For each kind of ignore file its frames, the deepest folder first.
    """

    frames: tuple[tuple[_Frame, ...], ...] = ((),) * len(IGNORE_FILES)

    @classmethod
    def read(cls, root: Path, folder: Path) -> Self:
        """Read the rules from the repository's root down to the parent of `folder`."""
        rules, place, inside = cls(), root, ""
        for part in folder.relative_to(root).parts:
            rules = rules.descend(os.fsencode(place), inside)
            place, inside = place / part, f"{inside}{part}/"
        return rules

    def descend(self, folder: bytes, inside: str) -> Self:
        """Return the rules with those of a folder's own files.

        Args:
            folder: The folder.
            inside: Its path from the repository's root, ending in a slash unless empty.
        """
        added = [_read_frame(os.path.join(folder, name.encode()), inside) for name in IGNORE_FILES]  # noqa: PTH118 - bytes
        if not any(added):
            return self
        return type(self)(
            tuple(
                (frame, *frames) if frame else frames
                for frame, frames in zip(added, self.frames, strict=True)
            )
        )

    def leave_out(self, path: str) -> bool:
        """Return whether a path from the root is left out; a folder's path ends in a slash."""
        return any(_leaves_out(frames, path) for frames in self.frames)


def _leaves_out(frames: Sequence[_Frame], path: str) -> bool:
    for frame in frames:
        subject = path[frame.start :]
        for match, left_out in frame.rules:
            if match(subject):
                return left_out
    return False


def _read_frame(file: bytes, inside: str) -> _Frame | None:
    try:
        if not S_ISREG(os.lstat(file).st_mode):
            return None  # as git: an ignore file is not read through a link
        with open(file, "rb") as stream:  # noqa: PTH123 - a bytes path
            text = stream.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    try:
        patterns = [GitWildMatchPattern(line.rstrip("\r")) for line in text.split("\n")]
    except GitWildMatchPatternError as error:
        where = f"{inside}{Path(os.fsdecode(file)).name}"
        raise ImageError(
            f"{where} holds a pattern that git would not read",
            facts=[str(error)],
            todo="Correct the pattern.",
        ) from error
    used = [found for found in patterns if found.include is not None]
    rules = [(found.regex.match, bool(found.include)) for found in reversed(used)]
    return _Frame(len(inside), rules) if rules else None
