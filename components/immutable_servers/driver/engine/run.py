"""Runs `pulumi up`, `preview` and `destroy` under a reporter.

The CLI is called itself, with `--json`, which streams the engine's events. The Automation API's
`up` makes five more calls around each run: 2.9 s against 1.0 s for an update with nothing to do.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from immutable_servers.driver.engine.errors import find_exit_code, is_locked
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.stack import MISSING, Stack
from immutable_servers.driver.engine.stop_lock import StopLock, start_stop_lock
from immutable_servers.driver.engine.turns import take_turn
from immutable_servers.driver.terminal import console
from immutable_servers.system import places, stopping

STREAMED_PREVIEWS = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENT = 0.1
"""Seconds between two readings of the events."""
KEPT_RUNS = 20
"""Logs kept of each command on each stack, so that many previews do not push out the updates,
from which `past_runs` reads how long work takes."""
KEPT_IN_ALL = 200
"""Logs kept of all stacks together, as stacks come and go."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: The exit code for the user's shell.
        output: What the CLI printed outside of the events.
    """

    code: int
    output: Sequence[str]


def run_engine(stack: Stack, words: Sequence[str], reporter: Reporter) -> Ended:
    """Run one command of the engine to its end, once no other run holds the stack.

    The engine runs in a session of its own: a terminal's Ctrl-C reaches this process, which hands
    it on. The engine then starts nothing new, and running work is asked to end; a second Ctrl-C
    does not wait for that.
    """

    def run() -> Ended:
        return _run(stack, words, reporter)

    ended = take_turn(stack, run, lambda ended: "\n".join(ended.output))
    if ended.code and any(MISSING in line for line in ended.output):
        stack.create()
        ended = run()
    return ended


def _run(stack: Stack, words: Sequence[str], reporter: Reporter) -> Ended:
    command = [*_die_with_parent(), *stack.render_command([*words, "--json"], config=True)]
    log = make_log(stack.root, words[0], stack.name)
    with (
        start_stop_lock() as lock,
        log.open("w") as out,
        log.with_suffix(".txt").open("w") as printed,
        subprocess.Popen(
            command,
            cwd=stack.root,
            env={**stack.environment, **STREAMED_PREVIEWS, stopping.VARIABLE: str(lock.path)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=printed,
            start_new_session=True,
        ) as process,
        _hand_on_signals(process, lock) as signals,
    ):
        said = list(_follow(process, log, reporter))
    said += [line for line in log.with_suffix(".txt").read_text().splitlines() if line.strip()]
    if process.returncode == 0:
        return Ended(0, said)
    if any(map(is_locked, said)):  # nothing was run, so there is nothing to keep
        log.unlink()
        log.with_suffix(".txt").unlink()
    if process.returncode < 0:
        _end_orphans(process.pid)
    if signals:
        return Ended(128 + signals[0], said)
    return Ended(find_exit_code([*reporter.errors, "\n".join(said)]), said)


def make_log(root: Path, word: str, stack: str) -> Path:
    """Return the file for a run's events; the oldest ones of its kind are removed.

    A file instead of a pipe: when this process is killed, the engine must live on to end its run
    cleanly.
    """
    folder = places.logs_dir(root)
    kind = sorted(folder.glob(f"run-*-{word}-{stack}.jsonl"))
    for old in (*kind[:-KEPT_RUNS], *sorted(folder.glob("run-*.jsonl"))[:-KEPT_IN_ALL]):
        old.unlink(missing_ok=True)
        old.with_suffix(".txt").unlink(missing_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return folder / f"run-{stamp}-{os.getpid()}-{word}-{stack}.jsonl"


def _follow(process: "subprocess.Popen[bytes]", log: Path, reporter: Reporter) -> Iterator[str]:
    """Hand the events to the reporter until the engine ends; yield lines that are no events."""
    rest = ""
    with log.open() as events:
        while True:
            running = _is_running(process)
            *lines, rest = (rest + events.read()).split("\n")
            for line in lines:
                event = _parse(line)
                if event is not None:
                    reporter.take(event)
                elif line.strip():
                    yield line.rstrip()
            if not running:
                return


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    """Wait a moment for the engine's end; return whether it still runs."""
    try:
        process.wait(MOMENT)
    except subprocess.TimeoutExpired:
        return True
    return False


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _end_orphans(session: int) -> None:
    """End the plugins of an engine that was killed: the processes left in its session."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == session:
                os.kill(int(entry.name), signal.SIGTERM)


def _die_with_parent() -> Sequence[str]:
    """Return the command prefix that has the kernel interrupt the engine when this process dies."""
    there = sys.platform == "linux" and shutil.which("setpriv")
    return ("setpriv", "--pdeathsig", "INT", "--") if there else ()


@contextmanager
def _hand_on_signals(process: "subprocess.Popen[bytes]", lock: StopLock) -> Iterator[list[int]]:
    """Hand each of `SIGNALS` on to the engine as SIGINT; yield those that came.

    The first one also asks running work to end. Only a program's main thread gets signals.
    """
    came: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)
        if not came:
            console.say("Stopping: what is under way is ended and cleaned up (once more: at once)")
            lock.release()
        came.append(number)

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, hand_on) for number in SIGNALS if main}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
