"""Packs what a server gets of an image's inputs into the one archive that a template uploads.

An archive holds any name, links as links and executable bits; an upload of a folder follows links.
"""

import tarfile
from collections.abc import Mapping
from pathlib import Path
from stat import S_IXUSR

from immutable_servers.errors import ImageError

ARCHIVE = "inputs.tar"


def write_archive(file: Path, folders: Mapping[str, Path]) -> None:
    """Write an archive of folders, each under its name: equal bytes for equal folders.

    GNU's format has names as bytes, of any length.

    Raises:
        ImageError: It cannot be written.
    """
    try:
        with tarfile.open(
            file,
            "w",
            format=tarfile.GNU_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            for name, folder in sorted(folders.items()):
                archive.add(folder, name, filter=_normalize)
    except OSError as error:
        raise ImageError(
            f"The archive {ARCHIVE} for the bake could not be written",
            facts=[error.strerror or str(error)],
            todo="See that the disk has room.",
        ) from error


def _normalize(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Keep path, content, link and executable bit."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & S_IXUSR else 0o644
    return member
