"""Notices that what lies in the toolchain's cache is not what was put there.

A folder's record has the SHA-256 of each of its files. Reading 115 MB takes longer than a command
should, so a file is read again only when its size, times or inode differ from when it was last
read: a write changes the time of the inode, which no program can set. Whoever may write the folder
may write the record too: this holds against damage and half a restored cache, not against them.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from immutable_servers.system.files import write_whole

RECORD = ".files.json"

Files = Mapping[str, Mapping[str, Any]]
"""By name below the folder: its digest, and the stamp at which that was computed."""


def is_intact(folder: Path) -> bool:
    """Return whether a folder is there and holds what was put there.

    One from before there were records is taken as it is, and recorded.
    """
    if not folder.is_dir():
        return False
    try:
        known: Files = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        record_files(folder)
        return True
    except ValueError:
        return False
    found = _look(folder, known)
    if {name: file["sha256"] for name, file in found.items()} != {
        name: file["sha256"] for name, file in known.items()
    }:
        return False
    if found != known:
        _write(folder, found)
    return True


def record_files(folder: Path) -> None:
    """Record what a folder holds now."""
    _write(folder, _look(folder, {}))


def _look(folder: Path, known: Files) -> Files:
    """Return what is there; a file whose stamp is known keeps its digest, another one is read."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        there = file.stat()
        stamp = [there.st_size, there.st_mtime_ns, there.st_ctime_ns, there.st_ino]
        before = known.get(name, {})
        if name != RECORD:
            same = before.get("stamp") == stamp
            found[name] = {
                "sha256": before["sha256"] if same else compute_digest(file),
                "stamp": stamp,
            }
    return found


def compute_digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(folder: Path, files: Files) -> None:
    with suppress(OSError):  # a full or read-only disk: the files are read again the next time
        write_whole(folder / RECORD, json.dumps(files), mode=0o600)
