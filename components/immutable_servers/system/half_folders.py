"""Makes a folder beside its place and renames it there when it is whole.

The name of a half folder, `.<name>.<pid>.<start>`, says who makes it. What a killed run has left is
removed by the next one that makes anything in the same place.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.system.processes import is_maker_gone, make_maker_mark

ROOM = 3 * 1024**3
"""Bytes that have to be free before anything is made: a bake that fills the disk helps nobody."""
RESERVE = 512 * 1024**2
"""Bytes that a bake leaves free: the disks of servers that run grow, and one that cannot stops."""
MAKE_ROOM = (
    "Make room: `./immutable prune` deletes images that nothing refers to, and `./immutable sweep`"
    " what no stack owns. Then run it again."
)


@contextmanager
def start_half(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; at the end make it durable and rename it to `folder`.

    Nothing is left when the body raises. When another run was first, its folder stays.

    Raises:
        ImageError: The disk is nearly full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_left_halves(folder.parent)
    check_room(folder.parent)
    half = folder.parent / f".{folder.name}.{make_maker_mark()}"
    half.mkdir()
    try:
        yield half
        sync_folder(half)
        _rename(half, folder)
    finally:
        remove_half(half)


def check_room(folder: Path) -> None:
    """Refuse to begin when the disk is nearly full.

    Raises:
        ImageError: With the free and the needed room.
    """
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise ImageError(
            "The disk is nearly full",
            facts=[f"{folder} has {free // 1024**2} MB left; {ROOM // 1024**2} MB are needed."],
            todo=MAKE_ROOM,
        )


def remove_left_halves(parent: Path) -> None:
    """Remove the half folders of runs that are gone."""
    for half in find_left_halves(parent):
        remove_half(half)


def find_left_halves(parent: Path) -> list[Path]:
    """Return the half folders of runs that are gone."""
    return [half for half in sorted(parent.glob(".*.*.*")) if half.is_dir() and is_left(half.name)]


def is_left(name: str) -> bool:
    """Return whether a name is a half folder's whose maker does not run any more."""
    return name.startswith(".") and is_maker_gone(".".join(name.rsplit(".", 2)[1:]))


def sync_folder(folder: Path) -> None:
    """Write a folder's files and names to the disk, so that a crash cannot leave empty ones."""
    for path in [*folder.rglob("*"), folder]:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _rename(half: Path, folder: Path) -> None:
    if folder.exists():
        # What is there is not whole, or this would not have been made.
        beside = folder.with_name(f".{folder.name}.0.0")
        shutil.rmtree(beside, ignore_errors=True)
        folder.rename(beside)
        half.rename(folder)
        shutil.rmtree(beside, ignore_errors=True)  # or another run has removed it
    else:
        half.rename(folder)
    number = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_half(half: Path) -> None:
    """Remove a half folder, and its folder for sockets."""
    shutil.rmtree(places.find_runtime_dir(half), ignore_errors=True)
    shutil.rmtree(half, ignore_errors=True)
