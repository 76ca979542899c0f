"""Checksums of a folder's files: written once, checked before a launch, quick the second time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.system.files import write_whole

SUMS = "SHA256SUMS"
"""In the form that `sha256sum --check` reads."""
STAMP = ".verified.json"
"""Size, inode and times of each file when it was last found right: those need no second reading."""

_Stamp = Mapping[str, Sequence[int]]


def write_checksums(
    folder: Path, names: Sequence[str], known: Mapping[str, str] | None = None
) -> None:
    """Write the checksums of these files of a folder.

    Args:
        folder: The files' folder.
        names: Of the files.
        known: Digests of further files, which are not read: by their path from the folder.
    """
    found = {name: _digest(folder / name) for name in sorted(names)}
    lines = [f"{digest}  {name}\n" for name, digest in {**found, **(known or {})}.items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: Path) -> None:
    """Check every file that the folder's checksums name.

    A file whose size, inode and times are those of the last check is not read again.

    Raises:
        ImageError: A file is missing or differs, or there are no checksums.
    """
    wanted = read_checksums(folder)
    stamp = _read_stamp(folder / STAMP)
    now = {name: _stat(folder / name) for name in [SUMS, *wanted]}
    fresh = stamp.get(SUMS) == now[SUMS]
    wrong = [
        name
        for name, digest in wanted.items()
        if not (fresh and now[name] and stamp.get(name) == now[name])
        and not (now[name] and _digest(folder / name) == digest)
    ]
    if wrong:
        raise ImageError(
            f"The artifact in {folder} is damaged",
            facts=[f"{name} is missing, or is not what was baked" for name in wrong],
            todo="Delete the folder; the next run that needs the image bakes it again.",
        )
    if stamp != now:
        write_whole(folder / STAMP, json.dumps(now))


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the digests of a folder's files by name.

    Raises:
        ImageError: There are none, or they cannot be read.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (FileNotFoundError, ValueError) as error:
        raise ImageError(
            f"The artifact in {folder} has no usable checksums",
            facts=[f"{SUMS}: {error}"],
            todo="Delete the folder; the next run that needs the image bakes it again.",
        ) from error


def _read_stamp(file: Path) -> _Stamp:
    try:
        found: _Stamp = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _stat(file: Path) -> list[int]:
    """Return what changes with a file's content. Not its change time: a new hard link sets that."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_ino, found.st_mtime_ns]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
