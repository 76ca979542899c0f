"""Refuses a user and folders that no run can work with, before anything is written.

A path of ours becomes part of other programs' languages: of PATH, of ssh's and HAProxy's
configuration, of QEMU's and Packer's options, of a resource's inputs. What a language can quote is
quoted where it is written; what is refused here is what one of them cannot.
"""

import os
import pwd
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.errors import SetupError
from immutable_servers.system import places

SEPARATOR = ":"
"""What separates the folders of PATH and PYTHONPATH."""
OPTIONS = '"\\%#?*[],$`'
"""What ssh (`%`, `$`, `\\`), HAProxy (`"`, `,`) or Packer (`%`, `#`, `?`, `,`) reads as its own."""


@dataclass(frozen=True)
class _Place:
    """A folder, and the characters that nothing in its path can have.

    Attributes:
        what: As a reader calls it.
        variable: Moves it; empty for the project.
    """

    what: str
    folder: Path
    variable: str
    refused: str

    def find_unfit(self) -> str:
        """Return the first character of its path that cannot be; empty when there is none."""
        path = str(self.folder)
        return next((one for one in path if one in self.refused or not _is_text(one)), "")


def refuse_unfit_places(project_root: Path) -> None:
    """Refuse a user without a name or a home, and folders that cannot be used or made.

    Raises:
        SetupError: There is one.
    """
    _refuse_nameless_user()
    for place in _list_places(project_root):
        unfit = place.find_unfit()
        if unfit:
            raise _make_unfit(place, unfit)
    for folder in (places.data_dir(), places.cache_dir()):
        _refuse_closed(folder)


def _list_places(project_root: Path) -> Iterator[_Place]:
    yield _Place("The project's folder", project_root, "", SEPARATOR)
    yield _Place("The data folder", places.data_dir(), "XDG_DATA_HOME", SEPARATOR + OPTIONS)
    yield _Place("The cache folder", places.cache_dir(), "XDG_CACHE_HOME", SEPARATOR)
    sockets = places.runtime_root()
    yield _Place("The folder for sockets", sockets, "XDG_RUNTIME_DIR", SEPARATOR + OPTIONS)
    # apt takes no double quote in the folder that it works in.
    yield _Place("The folder for temporary files", Path(tempfile.gettempdir()), "TMPDIR", '"')


def _is_text(character: str) -> bool:
    """Return whether a character is neither a control character nor a byte that is no UTF-8."""
    return character.isprintable() and not "\ud800" <= character <= "\udfff"


def _make_unfit(place: _Place, unfit: str) -> SetupError:
    also = f"; nothing of {' '.join(place.refused)} can be in it" if place.refused[1:] else ""
    todo = f"Set {place.variable} to another folder" if place.variable else "Move the checkout"
    return SetupError(
        f"{place.what} has a name that other programs cannot take",
        facts=[f"{str(place.folder)!r} holds {unfit!r}{also}", "Nothing was written"],
        todo=f"{todo}, without that character in its path.",
    )


def _refuse_nameless_user() -> None:
    """Refuse a user that is not in the list of users: ssh refuses to work for one, and so does git.

    OpenShift and `docker run --user` start programs as such users.
    """
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise SetupError(
            "This user has no name on this machine",
            facts=[f"uid {uid} has no entry in /etc/passwd, and ssh does not work without one"],
            todo="Run this as a user that has one; or in a container, add one:"
            f" echo 'ci:x:{uid}:0::/home/ci:/bin/sh' >>/etc/passwd",
        ) from None


def _refuse_closed(folder: Path) -> None:
    """Refuse a folder that is missing and cannot be made; `doctor` looks at one that exists."""
    if folder.exists():
        return
    above = next(path for path in folder.parents if path.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        raise SetupError(
            f"The folder {folder} cannot be made",
            facts=[
                f"uid {os.getuid()} may not write into {above}",
                f"HOME is {os.environ.get('HOME') or 'not set'}",
            ],
            todo="Set HOME to a folder of this user's own, or XDG_DATA_HOME and XDG_CACHE_HOME.",
        )
