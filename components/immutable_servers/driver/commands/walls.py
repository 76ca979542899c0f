"""Finds what keeps other users of this machine out of a run, and what does not."""

import os
import pwd
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from immutable_servers.driver.setup.pulumi import find_host
from immutable_servers.system import places

FIRST_PERSON = 1000
LAST_PERSON = 60000
"""User ids of people (Debian policy, 9.2.2)."""
NO_LOGIN = ("nologin", "false", "sync")
NAMED = 4
"""Users whose names are shown."""


def find_gaps(root: Path) -> Sequence[str]:
    """Return a sentence for each wall that does not hold on this machine, with what to do."""
    gaps = (_find_users(), _find_plugins(), _find_folders(root), _find_sockets())
    return [gap for gap in gaps if gap]


def _find_users() -> str:
    users = find_other_users(pwd.getpwall(), find_running_users(), os.getuid())
    if not users:
        return ""
    more = [f"{len(users) - NAMED} more"] if len(users) > NAMED else []
    return (
        f"Other users are here: {', '.join((*users[:NAMED], *more))}. During a run Pulumi's engine"
        " answers each of them on the loopback (pulumi issue 21040): deploy from a machine"
        " without other users."
    )


def _find_plugins() -> str:
    host = find_host()
    if host is None or host.version == "ours":
        return ""
    return (
        f"The language host {host.place} answers every user: with this Pulumi off the PATH ours is"
        " installed, which asks who calls."
    )


def _find_folders(root: Path) -> str:
    there = [folder for folder in places.list_places(root) if folder.exists()]
    wide = [str(folder) for folder in there if not places.is_private(folder.resolve())]
    if not wide:
        return ""
    return f"Others can enter {' and '.join(wide)}: own that, and type chmod 700."


def _find_sockets() -> str:
    if os.environ.get("XDG_RUNTIME_DIR"):
        return ""
    return f"There is no XDG_RUNTIME_DIR: sockets are in {places.runtime_root()}."


def find_other_users(
    accounts: Iterable[pwd.struct_passwd], running: Iterable[int], own: int
) -> Sequence[str]:
    """Return the users who may log in or have processes; root, who can do anything, is left out.

    Args:
        accounts: All of the machine.
        running: The user ids of its processes.
        own: Our user id.
    """
    known = list(accounts)
    people = {
        account.pw_uid
        for account in known
        if FIRST_PERSON <= account.pw_uid < LAST_PERSON and not account.pw_shell.endswith(NO_LOGIN)
    }
    names = {account.pw_uid: account.pw_name for account in reversed(known)}
    others = sorted((people | set(running)) - {0, own})
    return [names.get(user, str(user)) for user in others]


def find_running_users(processes: Path = Path("/proc")) -> set[int]:
    """Return the user ids of all processes; none on a system without `/proc`."""
    found = set()
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            found.add(folder.stat().st_uid)
    return found
