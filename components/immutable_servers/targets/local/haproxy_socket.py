"""Talks to a running HAProxy through its master's socket: the current worker and earlier ones.

In a reload the master's socket is away for a moment, and connections to it are cut off. So every
question is asked again until it is answered whole, or its time is over. To ask twice is always
safe: what changes something is a transaction (`haproxy_pointers.py`).
"""

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.errors import TrafficError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local.haproxy_config import CONFIG_MARK, KEPT_SECONDS

SECONDS = 10.0
"""How long a question may take, with all of its tries."""
EVERY = 0.02
_GONE = "Can't find the target"
_KEPT: list[tuple[float, socket.socket]] = []
"""When a worker was kept, and the connection that keeps it."""


@dataclass(frozen=True)
class Workers:
    """The processes of one HAProxy; `earlier` ones end with their last connection."""

    current: int
    earlier: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """The current worker, then the earlier ones."""
        return (self.current, *self.earlier)


def find_workers(master: Path) -> Workers:
    """Return the pids of the workers.

    Raises:
        TrafficError: The master does not answer, or has no worker.
    """

    def ask() -> Workers | None:
        return _parse_workers(_talk(master, "show proc"))

    # While it starts the worker of a reload it has earlier ones alone.
    if found := wait_until("its worker", SECONDS, ask, every=EVERY, stoppable=False):
        return found
    raise refused(master, "show proc", "it lists no worker")


def ask_worker(master: Path, worker: int, command: str) -> str:
    """Return what a worker answers; empty when it has ended meanwhile."""
    said = _talk(master, f"@!{worker} {command}")
    return "" if said.startswith(_GONE) else said


def ask_current(master: Path, command: str) -> str:
    """Return what the current worker answers; when a reload has ended it, its successor is asked.

    Raises:
        TrafficError: Nobody answers.
    """

    def ask() -> str:
        return ask_worker(master, find_workers(master).current, command)

    if said := wait_until("its worker", SECONDS, ask, every=EVERY, stoppable=False):
        return said
    raise refused(master, command, "its worker has ended")


def find_config_digest(master: Path) -> str:
    """Return the digest of the configuration that the current worker runs."""
    found = re.search(rf"^{CONFIG_MARK}: (\S+)", ask_current(master, "show info"), re.MULTILINE)
    return found[1] if found else ""


def keep_worker(master: Path, stats: Path) -> None:
    """Keep the current worker for a while after the reload that is to come.

    It has counted what it answered, and nobody else has: whoever counts answers looks once more.
    It ends when HAProxy has closed an idle connection to its own socket, or with this process.
    """
    while _KEPT and _KEPT[0][0] < time.monotonic() - KEPT_SECONDS:
        _KEPT.pop(0)[1].close()
    worker = find_workers(master).current

    def connect() -> socket.socket | None:
        """Return a connection to it: for a moment after a reload an earlier one listens too."""
        connection = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            connection.settimeout(SECONDS)
            connection.connect(str(stats))
            connection.sendall(b"prompt\nshow info\n")
            said = b""
            while not re.search(rb"\nPid: \d+\n", said) and (part := connection.recv(65536)):
                said += part
            if f"\nPid: {worker}\n".encode() in said:
                return connection
        connection.close()
        return None

    if found := wait_until("its worker", SECONDS, connect, every=EVERY, stoppable=False):
        _KEPT.append((time.monotonic(), found))


def _parse_workers(text: str) -> Workers | None:
    pids: dict[str, list[int]] = {"# workers": [], "# old workers": []}
    section: list[int] = []
    for line in text.splitlines():
        if line.startswith("# "):
            section = pids.setdefault(line.strip(), [])
        elif found := re.match(r"(\d+)\s+worker\b", line):
            section.append(int(found[1]))
    if not pids["# workers"]:
        return None
    return Workers(pids["# workers"][0], tuple(pids["# old workers"]))


def _talk(master: Path, command: str) -> str:
    """Return HAProxy's whole answer, which is never empty."""
    deadline = time.monotonic() + SECONDS
    fault = ""

    def ask() -> str:
        nonlocal fault
        try:
            said = _ask_once(master, command, deadline)
        except OSError as error:
            fault = str(error)
            return ""
        # An empty line ends each answer; it is all of an empty one.
        if said.endswith("\n\n") or said == "\n" or said.startswith(_GONE):
            return said
        fault = "its answer was cut off"
        return ""

    if said := wait_until("its answer", SECONDS, ask, every=EVERY, stoppable=False):
        return said
    raise refused(master, command.partition("\n")[0], fault)


def _ask_once(master: Path, command: str, deadline: float) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(max(deadline - time.monotonic(), EVERY))
        connection.connect(str(master))
        connection.sendall(f"{command}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        parts = iter(lambda: connection.recv(65536), b"")
        return b"".join(parts).decode()


def refused(master: Path, command: str, fact: str) -> TrafficError:
    """Return the error for what HAProxy does not answer, or does not do."""
    return TrafficError(
        "The balancer did not do as asked",
        facts=[f"{command}: {fact}", f"socket: {master}"],
        todo="Run the update again; ./immutable status says what serves.",
    )
