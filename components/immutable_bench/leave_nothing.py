"""Runs a command and ends all that it started: `python -m immutable_bench.leave_nothing COMMAND`.

The command keeps terminal, output and exit code. When it has ended, or this process is asked to
end, or its parent is gone, every descendant is ended, also one that made itself a daemon. Only
Linux tells descendants: elsewhere the command alone is ended.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from immutable_servers.system.supervisor import become_reaper, find_descendants

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
GRACE = 10.0
"""Seconds that the command may clean up in."""


def run(command: Sequence[str]) -> int:
    """Run the command, leave nothing of it, and return its exit code as a shell would."""
    become_reaper(signal.SIGTERM)
    for number in ENDINGS:
        signal.signal(number, _end)
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    child = subprocess.Popen(command)
    try:
        return _wait(child.pid)
    except SystemExit as ended:
        # A terminal has sent a Ctrl-C to the command too; a second one would end its cleaning up.
        if not came:
            child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        return int(str(ended.code))
    finally:
        child.kill()
        if sys.platform == "linux":
            _kill_all()


def _end(number: int, _frame: object) -> None:
    for name in ENDINGS:
        signal.signal(name, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _wait(pid: int) -> int:
    """Reap whoever ends, until that is the command."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _kill_all() -> None:
    """Kill what is left, and what that starts meanwhile; what another user owns is left."""
    refused: set[int] = set()
    while left := {*find_descendants(os.getpid())} - refused:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:
                refused.add(pid)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
