"""Lists a folder's files with their digests, the same on every machine.

A file is its path from the folder, its content and its executable bit; a symbolic link is its
target, never followed. Owner, times, other permissions, order, locale and place do not count;
folders count by their files alone, as in git.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG, S_IXUSR
from typing import TYPE_CHECKING

from immutable_servers.errors import ImageError
from immutable_servers.identity.cache import DigestCache, Key, make_key
from immutable_servers.identity.listing import list_files

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 20
BATCH = 64
THREADS = 4
"""Measured best on 2 cores with a cold page cache: threads help a slow disk more than hashing."""
Manifest = dict[str, str]
"""Path from the folder to `sha256:…`, `x:sha256:…` (executable) or `link:TARGET`."""
Skip = Callable[[str], bool]
Start = Callable[[int], "_Hash"]
"""Begins the digest of a file of a given size."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a folder.

    Attributes:
        path: From the folder, as the file system's bytes.
        name: The same as text, see `spell`.
        link: A link's target; None for a file.
        key: What the digest of a file is remembered by.
    """

    path: bytes
    name: str
    link: bytes | None
    executable: bool
    key: Key


def spell(path: bytes) -> str:
    r"""Return a path as text that every store can hold, one text for one path.

    UTF-8 is itself; any other byte, and a backslash, is escaped (`\\xe9`, `\\\\`).
    """
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def read_manifest(folder: Path, *, root: Path | None = None, skip: Skip | None = None) -> Manifest:
    """Return the manifest of the files in a folder that count in a version.

    Args:
        folder: Read without what `.gitignore` and `.imageignore` leave out.
        root: The project's root, as `listing.list_files` takes it.
        skip: Returns whether another file is left out, by its path from the folder.

    Raises:
        ImageError: A file cannot be read, or is no file, folder or link.
    """
    entries = find_entries(folder, root=root, skip=skip)
    return digest_entries(folder, entries, DigestCache.load(folder))


def find_entries(
    folder: Path, *, root: Path | None = None, skip: Skip | None = None
) -> Sequence[Entry]:
    """Return the files and links of a folder that count, by path.

    Raises:
        ImageError: As `read_manifest`.
    """
    place, base = folder.resolve(), root and root.resolve()
    if base and not place.is_relative_to(base):
        raise ImageError(
            f"{folder} leads out of the project by a link",
            facts=[f"It is {place}."],
            todo="Put the files into the project.",
        )
    found = read_entries(place, list_files(place, base))
    return [entry for entry in found if not (skip and skip(entry.name))]


def read_entries(folder: Path, paths: Iterable[bytes]) -> Sequence[Entry]:
    """Return what lies at paths below a folder; nothing for one that is gone, or is a folder.

    No link is followed on the way: what lies behind it is not the folder's.

    Raises:
        ImageError: It cannot be read, or is no file, folder or link.
    """
    top = os.fsencode(folder)
    real = {b"": True}
    found = (
        _read_entry(top, path)
        for path in paths
        if _is_inside(top, os.path.dirname(path), real)  # noqa: PTH120 - bytes
    )
    return [entry for entry in found if entry]


def digest_entries(
    folder: Path, entries: Sequence[Entry], cache: DigestCache | None = None
) -> Manifest:
    """Return the manifest of entries; with a cache, only what changed is read.

    Raises:
        ImageError: A file cannot be read.
    """
    digests = find_digests(folder, entries, cache)
    return {entry.name: _describe(entry, digests) for entry in entries}


def find_digests(
    folder: Path,
    entries: Sequence[Entry],
    cache: DigestCache | None = None,
    start: Start = lambda _size: hashlib.sha256(),
) -> Mapping[str, str]:
    """Return the digests of the files among entries, by name, each in hex.

    Args:
        folder: Where they lie.
        entries: Files and links.
        cache: With one only what changed is read.
        start: Begins the digest of a file of a given size.

    Raises:
        ImageError: A file cannot be read.
    """
    files = [entry for entry in entries if entry.link is None]
    known = {entry.name: cache.find(entry.name, entry.key) if cache else None for entry in files}
    unknown = [entry for entry in files if known[entry.name] is None]
    for entry, digest in _digest_files(os.fsencode(folder), unknown, start):
        known[entry.name] = digest
        if cache:
            cache.remember(entry.name, entry.key, digest)
    if cache:
        cache.save()
    return {name: digest for name, digest in known.items() if digest}


def _describe(entry: Entry, digests: Mapping[str, str]) -> str:
    if entry.link is not None:
        return f"link:{spell(entry.link)}"
    return f"{'x:' if entry.executable else ''}sha256:{digests[entry.name]}"


def _is_inside(top: bytes, folder: bytes, real: dict[bytes, bool]) -> bool:
    """Return whether a path below `top` is a folder, reached by no link; `real` remembers it."""
    if folder not in real:
        real[folder] = _is_inside(top, os.path.dirname(folder), real) and _is_real_folder(  # noqa: PTH120 - bytes
            top + b"/" + folder
        )
    return real[folder]


def _is_real_folder(place: bytes) -> bool:
    try:
        return S_ISDIR(os.lstat(place).st_mode)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return False
        raise _unreadable(place, error) from error


def _read_entry(top: bytes, path: bytes) -> Entry | None:
    place = top + b"/" + path
    try:
        found = os.lstat(place)
        link = os.readlink(place) if S_ISLNK(found.st_mode) else None  # noqa: PTH115 - bytes
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(place, error) from error
    if S_ISDIR(found.st_mode):
        return None
    if link is None and not S_ISREG(found.st_mode):
        raise ImageError(
            f"{spell(place)} is a socket, a device or a pipe",
            facts=["An image's folders hold files, folders and symbolic links."],
            todo="Remove it, or name it in .imageignore.",
        )
    return Entry(path, spell(path), link, bool(found.st_mode & S_IXUSR), make_key(found))


def _digest_files(
    top: bytes, entries: Sequence[Entry], start: Start
) -> Iterator[tuple[Entry, str]]:
    """Yield the digests, read by threads: hashing releases the interpreter's lock."""
    batches = [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]
    with ThreadPoolExecutor(THREADS) as pool:
        yield from (
            pair
            for pairs in pool.map(partial(_digest_batch, top, start), batches)
            for pair in pairs
        )


def _digest_batch(top: bytes, start: Start, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    return [
        (entry, _digest_file(top + b"/" + entry.path, entry.key[0], start)) for entry in entries
    ]


def _digest_file(file: bytes, size: int, start: Start) -> str:
    digest = start(size)
    try:
        number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while block := os.read(number, min(size + 1, BLOCK)):
                digest.update(block)
        finally:
            os.close(number)
    except OSError as error:
        raise _unreadable(file, error) from error
    return digest.hexdigest()


def _unreadable(path: bytes, error: OSError) -> ImageError:
    return ImageError(
        f"{spell(path)} cannot be read",
        facts=[error.strerror or str(error)],
        todo="Correct its permissions, or name it in .imageignore.",
    )
