"""Says which machine this is, so that another one is not taken for it."""

import hashlib
import hmac
import re
import socket
from dataclasses import dataclass
from pathlib import Path

FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
ID = re.compile(r"[0-9a-f]{32}")
KEY = b"immutable-servers"
DIGITS = 12


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        id: Hex digits that stay over reboots and new host names; empty where nobody can know, as in
            many containers.
        host: Its name, for a reader. Copies of a virtual machine often share an id; a name of their
            own is then what distinguishes them.
    """

    id: str
    host: str


def find_machine() -> Machine:
    """Return the machine that this process runs on.

    The operating system's id is not to be shown to others, so only a keyed digest of it leaves the
    machine: https://www.freedesktop.org/software/systemd/man/latest/machine-id.html
    """
    known = next((text for file in FILES if (text := _read(file))), "")
    digest = hmac.new(known.encode(), KEY, hashlib.sha256).hexdigest()[:DIGITS] if known else ""
    return Machine(digest, socket.gethostname())


def _read(file: Path) -> str:
    """Return the id in a file; empty where it holds none, as before a first boot."""
    try:
        text = file.read_text().strip()
    except OSError:
        return ""
    return text if ID.fullmatch(text) else ""
