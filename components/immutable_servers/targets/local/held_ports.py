"""Keeps a machine's port from everybody else, also while the machine is dead.

HAProxy asks a server's port and sends it requests on its own, between our runs too. Whoever
listened there in the place of a QEMU that died would be healthy, and would get production's
requests. So a process that does nothing has the port bound, without listening, until the balancer
has forgotten it: a shell that waits for a line that never comes. It is found by its last argument,
`<the machine's folder>/held-<port>`, which is no file.

Linux lets several sockets bind one port when all of them say SO_REUSEADDR and none listens
(socket(7); `inet_csk_bind_conflict` in net/ipv4/inet_connection_sock.c). QEMU says it, and ours
does until QEMU listens; from then on nobody can bind the port, nor listen on a socket that was
bound before.
"""

import os
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from immutable_servers.errors import LaunchError
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.processes import Process, end_process, identify_process
from immutable_servers.targets.local.ports import LOOPBACK

PREFIX = "held-"
_END_SECONDS = 5.0
_HOLDER = "exec 3<&0; read -r _ <&3 &"
"""Leaves a shell in the background that waits for standard input: a pipe whose other end it has."""


@contextmanager
def hold_port(folder: Path, port: int) -> Iterator[None]:
    """Hold a port for the machine in a folder; a process that the body starts may listen on it.

    It stays held after the body, unless that raises.

    Raises:
        LaunchError: Somebody else has bound it meanwhile.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((LOOPBACK, port))
        except OSError as error:
            raise LaunchError(
                f"The port {port} of {LOOPBACK} was taken by somebody else",
                facts=[error.strerror or str(error)],
                todo="Run the update again: it takes another port.",
            ) from error
        release_ports(folder, [port])
        _start_holder(folder / f"{PREFIX}{port}", held)
        try:
            yield
        except BaseException:
            release_ports(folder, [port])
            raise
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def find_holders(folder: Path) -> dict[int, Process]:
    """Return the processes that hold ports for the machine in a folder, by port."""
    found: dict[int, Process] = {}
    start = f"{folder}/{PREFIX}".encode()
    for name in os.listdir("/proc"):  # noqa: PTH208 - half the time of Path.iterdir
        with suppress(OSError):
            last = Path("/proc", name, "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2]
            port = last.removeprefix(start)
            if last.startswith(start) and port.isdigit() and _is_ours(name):
                process = identify_process(int(name), Path(os.fsdecode(last)))
                found.update({int(port): process} if process else {})
    return found


def release_ports(folder: Path, ports: Collection[int] | None = None) -> None:
    """Hold these ports of a machine no longer, or all; what is not held is no error."""
    for port, process in find_holders(folder).items():
        if ports is None or port in ports:
            end_process(process, _END_SECONDS)


def _is_ours(pid: str) -> bool:
    return Path("/proc", pid).stat().st_uid == os.getuid()


def _start_holder(name: Path, held: socket.socket) -> None:
    """Start the process, which has the socket and both ends of the pipe that it waits for."""
    read, write = os.pipe()
    try:
        subprocess.run(
            ["sh", "-c", _HOLDER, "holder", str(name)],
            cwd="/",
            env=make_daemon_environment(),
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write, held.fileno()),
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(read)
        os.close(write)
