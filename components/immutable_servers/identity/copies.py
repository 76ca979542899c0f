"""Copies entries of a folder, so that what is used later is what was digested."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.identity.files import Entry


def copy_entries(
    source: Path, entries: Sequence[Entry], destination: Path, purpose: str = "for the bake"
) -> None:
    """Copy files and links of a folder: content, the executable bit, and links as links.

    Args:
        source: The folder.
        entries: As `files.find_entries` returned them for it.
        destination: Made when missing. A link that is there already is left.
        purpose: Ends the error's first line.

    Raises:
        ImageError: A file cannot be read or written.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        place = os.fsencode(destination) + b"/" + entry.path
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
            _copy_entry(os.fsencode(source) + b"/" + entry.path, entry, place)
        except OSError as error:
            raise ImageError(
                f"{source.name}/{entry.name} could not be copied {purpose}",
                facts=[error.strerror or str(error)],
                todo="See that the disk has room and that no other program changes the file.",
            ) from error


def _copy_entry(file: bytes, entry: Entry, place: bytes) -> None:
    if entry.link is None:
        shutil.copyfile(file, place, follow_symlinks=False)
        os.chmod(place, 0o755 if entry.executable else 0o644)  # noqa: PTH101 - bytes
    elif not os.path.islink(place):  # noqa: PTH114 - bytes
        os.symlink(entry.link, place)  # noqa: PTH211 - bytes
