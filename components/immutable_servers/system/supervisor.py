"""Runs one command for `supervised.py` and outlives us just long enough to end all it started.

A program of its own on the standard library alone, so that it starts fast and depends on no path.
It reads one JSON line on stdin, then holds stdin open: its end means that the process which asked
is gone. On stdout it writes JSON lines, which the command's output cannot imitate: `{"line": ...}`
for each line, at last `{"ended": why, "code": ...}`. The command's environment is its own.

Output is bounded: the rest of a long line is left out, and of a long output all but its beginning
and its last lines. A line says how much that was.

On Linux every descendant is ended, also one that made itself a daemon. Elsewhere (previews and
cloud targets on macOS) only the command's process group is, and the engine is not watched.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""Both from linux/prctl.h."""
LONGEST_LINE = 64 * 1024
"""Bytes kept of one line."""
MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes kept of the beginning of an output."""
LAST_LINES = 100
"""Number of lines kept from the end of an output that is longer."""
SHORTEST_PART = 4
"""Shorter lines of a secret (a lone bracket, the end of some base64) give nothing away."""


@dataclass(frozen=True)
class Stat:
    """What `/proc/PID/stat` says of a process (proc_pid_stat(5))."""

    pid: int
    comm: str
    state: str
    parent: int
    started: int


def read_stat(pid: int) -> Stat | None:
    """Return what `/proc` says of a process; None when it is gone or there is no `/proc`."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib doubles the start-up time
            text = file.read()
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


def find_descendants(root: int) -> list[int]:
    """Return the living processes below `root`; what ended and was not reaped is left out."""
    names = os.listdir("/proc")  # noqa: PTH208 - see read_stat
    stats = [stat for name in names if name.isdigit() and (stat := read_stat(int(name)))]
    found = {root}
    while more := {stat.pid for stat in stats if stat.parent in found} - found:
        found |= more
    return [stat.pid for stat in stats if stat.pid in found - {root} and stat.state not in "ZX"]


def find_parts(secrets: Iterable[str]) -> list[bytes]:
    """Return all that must not be printed: values, their lines, and both as JSON, longest first."""
    parts = {secret for secret in secrets if secret.strip()}
    for secret in list(parts):
        lines = [line.strip() for line in secret.splitlines()]
        parts.update(line for line in [secret.strip(), *lines] if len(line) >= SHORTEST_PART)
    parts |= {json.dumps(part)[1:-1] for part in parts}
    return sorted((part.encode() for part in parts), key=len, reverse=True)


def redact(text: bytes, parts: Sequence[bytes]) -> bytes:
    """Return the text with each of `find_parts` replaced."""
    for part in parts:
        text = text.replace(part, SECRET.encode())
    return text


class Lines:
    """Splits an output into lines of a bounded length, in a time that grows with it alone."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.parts = parts
        self.longest = max(map(len, parts), default=1)
        self.unfinished = bytearray()
        self.cut = 0

    def take(self, chunk: bytes) -> Iterator[bytes]:
        """Take a piece of the output; yield the lines that end in it, without secrets."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        for piece in others:
            yield self._finish()
            self._add(piece)

    def take_last(self) -> Iterator[bytes]:
        """Yield the line whose end never came."""
        if self.unfinished:
            yield self._finish()

    def _add(self, piece: bytes) -> None:
        kept = piece[: max(LONGEST_LINE - len(self.unfinished), 0)]
        self.unfinished += kept
        self.cut += len(piece) - len(kept)

    def _finish(self) -> bytes:
        line = redact(bytes(self.unfinished).rstrip(b"\r"), self.parts)
        if self.cut:
            # The beginning of a secret may be left at the end, without the rest to know it by.
            cut = self.cut + self.longest - 1
            line = line[: max(len(line) - self.longest + 1, 0)]
            line += f" [{cut} bytes of this line are left out]".encode()
        self.unfinished.clear()
        self.cut = 0
        return line


class Supervisor:
    """Runs the command until it ends or has to.

    Attributes:
        why: Empty while all is well, else why the command is being ended.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.why = ""
        self.code: int | None = None
        self.limit = time.monotonic() + request["deadline"]
        self.parts = find_parts(request["secrets"])
        self.selector = selectors.DefaultSelector()
        self.output_lines = Lines(self.parts)
        self.last: deque[bytes] = deque(maxlen=LAST_LINES)
        self.taken = self.cut = 0
        self.unsent = bytearray()

    def prepare(self) -> None:
        """Make the log and the folder for this run.

        Raises:
            OSError: One cannot be made.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.log = os.open(self.request["log"], flags, 0o600)
        os.fchmod(self.log, 0o600)
        if self.request["scratch"]:
            os.makedirs(self.request["scratch"], mode=0o700)  # noqa: PTH103 - see read_stat

    def run(self) -> None:
        """Start the command, wait for its end or an event that ends it, and leave nothing."""
        self._watch_signals()
        self._watch(0, self._on_stdin)
        self._watch_engine()
        if not self.why and self._start():
            while self.code is None:
                self._wait()
            self._end_descendants()
            self._drain()
        self._finish()

    def _watch(self, file: int, handler: Callable[[], None]) -> None:
        self.selector.register(file, selectors.EVENT_READ, handler)

    def _watch_signals(self) -> None:
        """Turn SIGCHLD and requests to stop into events of the selector."""
        self.wakeup, write = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(write, False)
        os.set_blocking(1, False)
        signal.set_wakeup_fd(write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._watch(self.wakeup, self._on_signal)

    def _watch_engine(self) -> None:
        if not self.request["engine"] or sys.platform != "linux":
            return
        pid, started = self.request["engine"]
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            self.why = "engine"
            return
        stat = read_stat(pid)
        if stat is None or stat.started != started:
            self.why = "engine"
            return
        self._watch(pidfd, lambda: self._end("engine", pidfd))

    def _start(self) -> bool:
        self._log(redact(f"$ {' '.join(self.request['argv'])}\n".encode(), self.parts))
        self.output, write = os.pipe()
        try:
            self.child = subprocess.Popen(
                self.request["argv"],
                cwd=self.request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                process_group=0,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this program has one thread
            )
        except OSError as error:
            self.why = f"missing: {error.strerror}: {error.filename}"
            return False
        finally:
            os.close(write)
        os.set_blocking(self.output, False)
        self._watch(self.output, self._on_output)
        return True

    def _wait(self) -> None:
        """Wait for one event, or for the limit: the deadline first, then the time to clean up."""
        left = self.limit - time.monotonic()
        if left <= 0:
            if self.why:
                self._end_descendants()
            self._end("deadline")
        for key, _ in self.selector.select(max(left, 0)):
            key.data()

    def _end(self, why: str, file: int | None = None) -> None:
        """Ask the command and its group to end, once, as Ctrl-C does: Packer cleans up on it."""
        if file is not None:
            self.selector.unregister(file)
        if self.why or self.code is not None:
            return
        self.why = why
        self.limit = time.monotonic() + self.request["grace"]
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGINT)

    def _end_descendants(self) -> None:
        """Kill what is left below us, until there is nothing, and reap it.

        What another user owns (by sudo) cannot be killed and is left.
        """
        if sys.platform != "linux":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)
        refused = False
        while not refused and sys.platform == "linux" and (pids := find_descendants(os.getpid())):
            for pid in pids:
                with suppress(ProcessLookupError):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except PermissionError:
                        refused = True
            self._reap(0 if not refused else os.WNOHANG)
        self._reap(os.WNOHANG)

    def _reap(self, first: int) -> None:
        """Collect what has ended; with `first` 0 wait until something has."""
        flags = first
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, flags))[0]:
                if found[0] == self.child.pid:
                    self.code = self.child.returncode = os.waitstatus_to_exitcode(found[1])
                flags = os.WNOHANG

    def _on_stdin(self) -> None:
        if not os.read(0, 4096):
            self._end("abandoned", 0)

    def _on_signal(self) -> None:
        numbers = os.read(self.wakeup, 4096)
        self._reap(os.WNOHANG)
        if self.code is None and set(numbers) - {signal.SIGCHLD}:
            self._end("stopped")

    def _on_output(self) -> None:
        chunk = os.read(self.output, 65536)
        if not chunk:
            self.selector.unregister(self.output)
        for line in self.output_lines.take(chunk):
            self._take(line)

    def _take(self, line: bytes) -> None:
        """Forward a line, or keep it among the last ones once there were too many bytes."""
        if self.taken < MOST_OUTPUT:
            self.taken += len(line) + 1
            self._forward(line)
            return
        if len(self.last) == LAST_LINES:
            self.cut += len(self.last[0]) + 1
        self.last.append(line)

    def _forward(self, line: bytes) -> None:
        self._log(line + b"\n")
        self._send({"line": line.decode(errors="replace")})

    def _log(self, text: bytes) -> None:
        """Append to the log; a full disk must not keep us from ending the command."""
        with suppress(OSError):
            os.write(self.log, text)

    def _send(self, message: Mapping[str, Any]) -> None:
        """Write to who asked without ever waiting: they may be stopped, or gone."""
        if not self.unsent:
            with suppress(ValueError, KeyError):
                self.selector.register(1, selectors.EVENT_WRITE, self._on_writable)
        self.unsent += json.dumps(message).encode() + b"\n"  # in place, as its front is deleted

    def _on_writable(self) -> None:
        try:
            del self.unsent[: os.write(1, self.unsent[:LONGEST_LINE])]
        except BlockingIOError:
            return
        except OSError:
            self.unsent.clear()
        if not self.unsent:
            self.selector.unregister(1)

    def _drain(self) -> None:
        """Read what is still in the pipe, without waiting for one who still holds it."""
        with suppress(BlockingIOError, KeyError):
            while self.output in self.selector.get_map():
                self._on_output()
        for line in self.output_lines.take_last():
            self._take(line)
        if self.cut:
            self._forward(f"[{self.cut} bytes of output are left out here]".encode())
        for line in self.last:
            self._forward(line)

    def _finish(self) -> None:
        if self.request["scratch"]:
            shutil.rmtree(self.request["scratch"], ignore_errors=True)
        self._log(f"# ended: {self.why or 'by itself'}, exit code {self.code}\n".encode())
        os.set_blocking(1, True)
        last = {"ended": self.why, "code": self.code}
        self.unsent += json.dumps(last).encode() + b"\n"
        with suppress(OSError):
            while self.unsent:
                del self.unsent[: os.write(1, self.unsent[:LONGEST_LINE])]


def _call_prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def become_reaper(number: int) -> None:
    """Make this process the parent of its orphaned descendants; send it a signal with its own."""
    _call_prctl(PR_SET_CHILD_SUBREAPER, 1)
    _call_prctl(PR_SET_PDEATHSIG, number)


def _die_with_parent() -> None:
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _take_less(nice: int) -> None:
    """Leave the processor to others: with their session where these count, or by their own value.

    See `priority.py`.
    """
    os.nice(nice)
    with suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as group:  # noqa: PTH123 - as above
        group.write(str(nice))


def main() -> None:
    """Serve the one request that stands on stdin."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk:
            return
        line += chunk
    _call_prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        request = json.loads(line)
        if request["nice"]:
            _take_less(request["nice"])
        supervisor = Supervisor(request)
        supervisor.prepare()
    except OSError as error:  # A full disk, say: nothing was started.
        sys.stdout.write(json.dumps({"ended": f"unready: {error}", "code": None}) + "\n")
        return
    supervisor.run()


if __name__ == "__main__":
    main()
