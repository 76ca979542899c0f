"""Asks a server for its health exactly as HAProxy asks it (`haproxy_config.py`)."""

import re
import socket
import time

from immutable_servers.contract.values import Health
from immutable_servers.targets.local.machines import Machine
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.shared.health import ACCEPTED, ANSWER_SECONDS

HOST = LOOPBACK
"""The Host of the question, without a port: the one here is not the server's own."""
_REQUEST = f"GET {{path}} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n"
_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[01] +(\d{3})(?: +([^\r\n]*))?\r?\n")
_MOST = 64 * 1024
"""Bytes of status line and headers."""


def ask_health(machine: Machine, path: str) -> Health:
    """Ask what listens on a server's port, within a time and a size that it cannot stretch."""
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        with socket.create_connection((LOOPBACK, machine.http_port), ANSWER_SECONDS) as connection:
            connection.sendall(_REQUEST.format(path=path).encode())
            said = _read_head(connection, deadline)
    except TimeoutError:
        said, detail = b"", f"no whole answer within {ANSWER_SECONDS} s"
    except OSError as error:
        said, detail = b"", str(error)
    else:
        detail = "it closed the connection without an answer in HTTP/1.x"
    if not (found := _STATUS.match(said)):
        return Health(machine.name, ok=False, detail=detail)
    status, reason = int(found[1]), (found[2] or b"").decode(errors="replace")
    return Health(machine.name, ok=status in ACCEPTED, detail=f"{status} {reason}".strip())


def _read_head(connection: socket.socket, deadline: float) -> bytes:
    """Return status line and headers, empty when they do not come whole.

    Raises:
        TimeoutError: The deadline, by the monotonic clock, is over.
    """
    said = b""
    while len(said) <= _MOST:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        connection.settimeout(left)
        if not (part := connection.recv(65536)):
            break
        said += part
        if _END.search(said):
            return said
    return b""
