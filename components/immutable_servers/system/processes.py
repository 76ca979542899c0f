"""Finds and ends processes that are provably ours: by pid, start time and command line.

A pid alone is reused by the kernel. A process is ours when it started at the tick that was
recorded and one of its arguments names a folder of ours (the marker). It is signalled through a
pidfd, so that the process that was checked is the one that gets the signal (pidfd_open(2)).
"""

import json
import os
import select
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from immutable_servers.system.supervisor import read_stat
from immutable_servers.system.waiting import wait_until

PROC = Path("/proc")
_EXEC_SECONDS = 0.2


@dataclass(frozen=True)
class Process:
    """The identity of a process.

    Attributes:
        start: Clock ticks from the host's boot to its start (`/proc/PID/stat`, field 22).
        boot: The host's boot id: ticks of another boot mean nothing.
        marker: A folder that one of its arguments names.
    """

    pid: int
    start: int
    boot: str
    marker: str


def find_boot_id() -> str:
    """Return the id of the host's current boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify_process(pid: int, marker: Path) -> Process | None:
    """Return the running process `pid`, when an argument of it names `marker`; else None."""
    start = _find_start(pid)
    if start is None or not _names_marker(pid, str(marker)):
        return None
    return Process(pid, start, find_boot_id(), str(marker))


def make_maker_mark() -> str:
    """Return `<pid>.<start>` of this process, for the names of folders that it makes."""
    stat = read_stat(os.getpid())
    return f"{os.getpid()}.{stat.started if stat else 0}"


def is_maker_gone(mark: str) -> bool:
    """Return whether the process that made a mark has ended; where there is no `/proc` none has.

    One that nobody has reaped has ended too.
    """
    pid, _, start = mark.partition(".")
    if not (pid.isdigit() and start.isdigit() and read_stat(os.getpid())):
        return False
    return _find_start(int(pid)) != int(start)


def find_process(process: Process | None) -> bool:
    """Return whether exactly this process still runs."""
    return process is not None and identify_process(process.pid, Path(process.marker)) == process


def end_process(process: Process | None, seconds: float) -> None:
    """End exactly this process: SIGTERM, and SIGKILL when it is not gone after `seconds`.

    A process that is gone, or whose pid another one has by now, is left alone.
    """
    if process is None:
        return
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if signal_process(process, signal.SIGTERM) and not _wait_for_end(pidfd, seconds):
            signal_process(process, signal.SIGKILL)
            _wait_for_end(pidfd, seconds)
    finally:
        os.close(pidfd)


def signal_process(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; return whether it was there to get it."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The pidfd holds whoever has the pid now; checked after it was opened, it cannot change.
        if not find_process(process):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def write_process(path: Path, process: Process) -> None:
    """Record an identity in a file."""
    path.write_text(json.dumps(asdict(process)))


def read_process(path: Path, pidfile: Path, marker: Path) -> Process | None:
    """Return the running process recorded at `path`, or None.

    Whoever started it may have been killed before it wrote the record: then the process's own
    `pidfile` says the pid, and the marker in its command line is the proof.
    """
    try:
        recorded = Process(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        try:
            return identify_process(int(pidfile.read_text()), marker)
        except (FileNotFoundError, ValueError):
            return None
    # A record in a folder that somebody copied is that of the original's process.
    return recorded if recorded.marker == str(marker) and find_process(recorded) else None


def _wait_for_end(pidfd: int, seconds: float) -> bool:
    """Wait for the event that a process ended (a pidfd is readable then)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(int(seconds * 1000)))


def _find_start(pid: int) -> int | None:
    stat = read_stat(pid)
    return None if stat is None or stat.state in "ZX" else stat.started


def _names_marker(pid: int, marker: str) -> bool:
    def read() -> bytes:
        return (PROC / str(pid) / "cmdline").read_bytes()

    try:
        # A process that is about to become another program (execve(2)) has no arguments meanwhile.
        found = wait_until(f"process {pid}", _EXEC_SECONDS, read, every=0.001, stoppable=False)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    arguments = found.decode(errors="replace").split("\0")
    return any(value == marker or value.startswith(f"{marker}/") for value in arguments)
