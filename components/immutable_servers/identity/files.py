"""Lists a folder's files with their digests, the same on every machine.

A file is its path from the folder, its content and its executable bit; a symbolic link is its
target, never followed. Owner, times, other permissions, order, locale and place do not count;
folders count by their files alone, as in git.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_IXUSR

from immutable_servers.errors import ImageError
from immutable_servers.identity.cache import DigestCache, Key, make_key
from immutable_servers.identity.ignore import IgnoreRules

BLOCK = 1 << 20
BATCH = 64
THREADS = 4
"""Measured best on 2 cores with a cold page cache: threads help a slow disk more than hashing."""
Manifest = dict[str, str]
"""Path from the folder to `sha256:…`, `x:sha256:…` (executable) or `link:TARGET`."""
Skip = Callable[[str], bool]


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
        root: The repository's root, from which on ignore files are read; default the folder.
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
    base = root or folder
    rules = IgnoreRules.read(base, folder)
    inside = "".join(f"{part}/" for part in folder.relative_to(base).parts)
    found = _walk(os.fsencode(folder), b"", inside, rules)
    return sorted(
        (entry for entry in found if not (skip and skip(entry.name))), key=lambda entry: entry.path
    )


def find_all_entries(folder: Path) -> Sequence[Entry]:
    """Return every file and link of a folder, by path; nothing is left out."""
    return sorted(_walk(os.fsencode(folder), b"", "", None), key=lambda entry: entry.path)


def digest_entries(
    folder: Path, entries: Sequence[Entry], cache: DigestCache | None = None
) -> Manifest:
    """Return the manifest of entries; with a cache, only what changed is read.

    Raises:
        ImageError: A file cannot be read.
    """
    known = {entry.name: cache.find(entry.name, entry.key) if cache else None for entry in entries}
    unknown = [entry for entry in entries if entry.link is None and known[entry.name] is None]
    for entry, digest in _digest_files(os.fsencode(folder), unknown):
        known[entry.name] = digest
        if cache:
            cache.remember(entry.name, entry.key, digest)
    if cache:
        cache.save()
    return {entry.name: _describe(entry, known) for entry in entries}


def _describe(entry: Entry, digests: Mapping[str, str | None]) -> str:
    if entry.link is not None:
        return f"link:{spell(entry.link)}"
    return f"{'x:' if entry.executable else ''}sha256:{digests[entry.name]}"


def _walk(
    top: bytes, inside: bytes, inside_root: str, rules: IgnoreRules | None
) -> Iterator[Entry]:
    folder = os.path.join(top, inside)  # noqa: PTH118 - bytes
    rules = rules.descend(folder, inside_root) if rules else None
    try:
        with os.scandir(folder) as listing:
            children = list(listing)
    except OSError as error:
        raise _unreadable(folder, error) from error
    for child in children:
        if child.name == b".git" and rules:
            continue
        is_folder = child.is_dir(follow_symlinks=False)
        if rules:
            seen = inside_root + child.name.decode("utf-8", "surrogateescape")
            if rules.leave_out(seen + "/" if is_folder else seen):
                continue
        if is_folder:
            below = f"{inside_root}{child.name.decode('utf-8', 'surrogateescape')}/"
            yield from _walk(top, inside + child.name + b"/", below, rules)
        else:
            yield _make_entry(child, inside + child.name)


def _make_entry(child: "os.DirEntry[bytes]", path: bytes) -> Entry:
    try:
        found = child.stat(follow_symlinks=False)
        link = os.readlink(child.path) if child.is_symlink() else None  # noqa: PTH115 - bytes
    except OSError as error:
        raise _unreadable(child.path, error) from error
    if link is None and not child.is_file(follow_symlinks=False):
        raise ImageError(
            f"{spell(child.path)} is a socket, a device or a pipe",
            facts=["An image's folders hold files, folders and symbolic links."],
            todo="Remove it, or name it in .imageignore.",
        )
    return Entry(path, spell(path), link, bool(found.st_mode & S_IXUSR), make_key(found))


def _digest_files(top: bytes, entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yield the digests, read by threads: hashing releases the interpreter's lock."""
    batches = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    with ThreadPoolExecutor(THREADS) as pool:
        yield from (
            pair for pairs in pool.map(partial(_digest_batch, top), batches) for pair in pairs
        )


def _digest_batch(top: bytes, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    return [(entry, _digest_file(top + b"/" + entry.path, entry.key[0])) for entry in entries]


def _digest_file(file: bytes, size: int) -> str:
    digest = hashlib.sha256()
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
