"""Reserves ports on 127.0.0.1, safely between runs that launch side by side.

A reservation is a file `ports/<port>` that names the folder that owns the port. It ends when it is
released, or when that folder is gone.
"""

import errno
import socket
from contextlib import suppress
from pathlib import Path

import psutil

from immutable_servers.errors import LaunchError
from immutable_servers.system import places
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_whole

LOOPBACK = "127.0.0.1"
_LOCK_SECONDS = 30.0
_FIRST = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def reserve_port(owner: Path, bounds: tuple[int, int]) -> int:
    """Return a free port for `owner`, a folder that exists.

    Raises:
        LaunchError: No port of the range is free.
    """
    folder = _ports_dir()
    with hold_lock(folder / "lock", _LOCK_SECONDS, "the table of ports"):
        for port in range(bounds[0], bounds[1] + 1):
            if not _is_reserved(port) and is_free(port):
                write_whole(folder / str(port), str(owner), mode=0o600)
                return port
    raise LaunchError(
        "No port is free for a server",
        facts=[f"All of {LOOPBACK}:{bounds[0]} to {bounds[1]} are reserved or in use."],
        todo="Set another immutable-servers:local port_range, or destroy a stack.",
    )


def release_port(port: int, owner: Path) -> None:
    """Give a port back, when `owner` has it."""
    file = _ports_dir() / str(port)
    if port and find_owner(port) == str(owner):
        file.unlink(missing_ok=True)


def find_left_ports() -> list[Path]:
    """Return the reservations whose owners are gone."""
    files = [file for file in _ports_dir().glob("*") if file.name.isdigit()]
    return sorted(file for file in files if not _is_reserved(int(file.name)))


def drop_left_port(port: str) -> bool:
    """End a reservation whose owner is gone; say whether it was there."""
    with hold_lock(_ports_dir() / "lock", _LOCK_SECONDS, "the table of ports"):
        left = _ports_dir() / port in find_left_ports()
        if left:
            (_ports_dir() / port).unlink()
        return left


def find_owner(port: int) -> str:
    """Return the folder that a port is reserved for; empty when it is for none."""
    try:
        return (_ports_dir() / str(port)).read_text()
    except FileNotFoundError:
        return ""


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def is_privileged(port: int) -> bool:
    """Return whether this process lacks the privilege to listen on a port."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno == errno.EACCES
    return False


def find_first_free_for_all() -> int:
    """Return the first port that needs no privilege (ip-sysctl, ip_unprivileged_port_start)."""
    try:
        return int(_FIRST.read_text())
    except (OSError, ValueError):
        return 1024


def is_listened_on(port: int) -> bool:
    """Return whether anybody listens on a port of this machine, seen or not."""
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        for one in psutil.net_connections("tcp")
    )


def find_listener(port: int) -> str:
    """Return who listens on a port, such as `pid 812 (nginx)`; empty when it cannot be seen."""
    for one in psutil.net_connections("tcp"):
        listens = one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        if listens and one.pid:
            with suppress(psutil.NoSuchProcess):  # It has just ended.
                return f"pid {one.pid} ({psutil.Process(one.pid).name()})"
    return ""


def _ports_dir() -> Path:
    return places.data_dir() / "ports"


def _is_reserved(port: int) -> bool:
    owner = find_owner(port)
    return bool(owner) and Path(owner).exists()
