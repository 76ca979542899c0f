"""Files in memory with the part of `pathlib.Path` that the instant target and the tests use."""

import io
import re
from collections.abc import Iterator
from functools import cache
from typing import Any


class MemoryPath:
    """A path among files that are texts by path; a folder exists while something is in it."""

    __slots__ = ("files", "path")

    def __init__(self, files: dict[str, str], path: str) -> None:
        self.files, self.path = files, path

    def __str__(self) -> str:
        return self.path

    def __truediv__(self, part: object) -> "MemoryPath":
        return MemoryPath(self.files, f"{self.path}/{part}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryPath) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __lt__(self, other: "MemoryPath") -> bool:
        return self.path < other.path

    def joinpath(self, *parts: str) -> "MemoryPath":
        """Return the path of something below it."""
        return MemoryPath(self.files, "/".join((self.path, *parts)))

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def parent(self) -> "MemoryPath":
        """The folder that it is in."""
        return MemoryPath(self.files, self.path.rpartition("/")[0])

    def with_name(self, name: str) -> "MemoryPath":
        """Return a path beside it."""
        return self.parent / name

    def exists(self) -> bool:
        """Return whether it is a file, or a folder with something in it."""
        return self.path in self.files or bool(self._list_below())

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self.path in self.files

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        return not self.is_file() and self.exists()

    def resolve(self) -> "MemoryPath":
        """Return itself: there are no links."""
        return self

    def is_relative_to(self, other: "MemoryPath") -> bool:
        """Return whether it lies in a folder, or is that folder."""
        return f"{self.path}/".startswith(f"{other.path}/")

    def read_text(self) -> str:
        """Return a file's text.

        Raises:
            FileNotFoundError: There is none.
        """
        try:
            return self.files[self.path]
        except KeyError:
            raise FileNotFoundError(self.path) from None

    def write_text(self, text: str) -> int:
        """Write a file."""
        self.files[self.path] = text
        return len(text)

    def touch(self) -> None:
        """Make an empty file where there is none."""
        self.files.setdefault(self.path, "")

    def replace(self, other: "MemoryPath") -> "MemoryPath":
        """Rename a file, over another one too."""
        self.files[other.path] = self.files.pop(self.path)
        return other

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove a file.

        Raises:
            FileNotFoundError: There is none.
        """
        if self.files.pop(self.path, None) is None and not missing_ok:
            raise FileNotFoundError(self.path)

    def mkdir(self, **_how: object) -> None:
        """Make nothing: a folder exists with what is in it."""

    def rmdir(self) -> None:
        """Remove nothing."""

    def open(self, mode: str = "r") -> Any:  # noqa: ANN401 - a text file, as `Path.open` returns
        """Open a file for reading, or for adding to its end."""
        return _Appender(self) if mode == "a" else io.StringIO(self.read_text())

    def iterdir(self) -> Iterator["MemoryPath"]:
        """Yield what is in a folder."""
        start = len(self.path) + 1
        names = dict.fromkeys(path[start:].partition("/")[0] for path in self._list_below())
        return (self / name for name in names)

    def glob(self, pattern: str) -> Iterator["MemoryPath"]:
        """Yield what is below and matches; `*` stands for any text without a slash."""
        start, whole = len(self.path) + 1, _compile(pattern)
        depth = pattern.count("/") + 1
        below = self._list_below(pattern.partition("*")[0])
        found = dict.fromkeys("/".join(path[start:].split("/", depth)[:depth]) for path in below)
        return (self / path for path in found if whole(path))

    def rglob(self, _pattern: str) -> Iterator["MemoryPath"]:
        """Yield every file below."""
        return (MemoryPath(self.files, path) for path in self._list_below())

    def _list_below(self, beginning: str = "") -> list[str]:
        """Return the paths of all files below that go on like this."""
        start = f"{self.path}/{beginning}"
        return [path for path in self.files if path.startswith(start)]


class _Appender(io.StringIO):
    """Adds to a file what was written, when it is closed."""

    def __init__(self, path: MemoryPath) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        """Write."""
        if not self.closed:
            self.path.write_text(self.path.files.get(self.path.path, "") + self.getvalue())
        super().close()


@cache
def _compile(pattern: str) -> Any:  # noqa: ANN401 - a bound method of a pattern
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.compile("[^/]*".join(parts)).fullmatch
