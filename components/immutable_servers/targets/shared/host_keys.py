"""Reads a server's host key from its console, which a cloud's API shows and nobody between."""

import re

HOST_KEY = re.compile(
    r"^(?:\[[ .\d]+\] )?immutable-seal\[\d+\]: host key (ssh-ed25519 [A-Za-z0-9+/=]{16,128})\r?$",
    re.MULTILINE,
)


def read_host_key(console: str) -> str:
    """Return the host key that a server's seal has printed last; empty when it has not yet.

    Each line of a console begins with who wrote it, so no application can say another one.
    """
    found = HOST_KEY.findall(console)
    return str(found[-1]) if found else ""
