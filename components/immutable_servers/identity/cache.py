"""Remembers digests of unchanged files, so that 10,000 files take less than a second.

An entry is trusted while size, times and inode are what they were. As git does, a file that was
changed in the last moments is not remembered: it could change again within one tick of the clock.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from immutable_servers.system import places
from immutable_servers.system.files import write_whole

SETTLED_NS = 2_000_000_000
Key = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns, inode."""


def make_key(found: os.stat_result) -> Key:
    """Return the values by which an entry is trusted."""
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class DigestCache:
    """The digests of one folder's files, by path from the folder."""

    def __init__(self, file: Path, entries: Mapping[str, list[object]]) -> None:
        self._file = file
        self._old = entries
        self._new: dict[str, list[object]] = {}
        self._started_ns = time.time_ns()

    @classmethod
    def load(cls, folder: Path, kind: str = "") -> Self:
        """Read a folder's cache of one kind of digests; a missing or damaged cache is empty."""
        named = os.fsencode(folder.resolve()) + (f"\0{kind}" if kind else "").encode()
        place = hashlib.sha256(named).hexdigest()[:24]
        file = places.cache_dir() / "digests" / f"{place}.json"
        return cls(file, _read(file))

    def find(self, path: str, key: Key) -> str | None:
        """Return the digest of a file that did not change, or None."""
        entry = self._old.get(path)
        if entry is None or entry[:4] != [*key]:
            return None
        self._new[path] = entry
        return str(entry[4])

    def remember(self, path: str, key: Key, digest: str) -> None:
        """Keep a digest, unless the file changed just now."""
        if max(key[1], key[2]) < self._started_ns - SETTLED_NS:
            self._new[path] = [*key, digest]

    def save(self) -> None:
        """Write the entries when they changed; a failure is ignored, since it costs only time."""
        if self._new == self._old:
            return
        body = json.dumps(self._new).encode("ascii")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sealed = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
            write_whole(self._file, sealed, mode=0o600)
        except OSError:
            return


def _read(file: Path) -> dict[str, list[object]]:
    try:
        digest, _, body = file.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return {}
    entries: dict[str, list[object]] = json.loads(body)
    return entries
