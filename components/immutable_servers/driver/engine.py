"""Runs `pulumi up`, `preview` and `destroy` under a reporter.

The CLI is called itself, with `--json`, which streams the engine's events. The Automation API's `up`
makes five more calls around each run: 2.9 s against 1.0 s for an update with nothing to do.
"""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from immutable_servers.driver import console
from immutable_servers.driver.locks import clear_stale_locks
from immutable_servers.driver.outcome import find_exit_code
from immutable_servers.driver.reporter import Reporter
from immutable_servers.driver.stack import MISSING, Stack

STREAMED_PREVIEWS = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: The exit code for the user's shell.
        told: What the CLI said outside of the events.
    """

    code: int
    told: Sequence[str]


def run_engine(stack: Stack, words: Sequence[str], reporter: Reporter) -> Ended:
    """Run one command of the engine to its end.

    The engine runs in a session of its own: a terminal's Ctrl-C reaches this process, which hands
    it on once. Steps under way then end in their own time; a second Ctrl-C does not wait for them.
    """
    if stack.own:
        clear_stale_locks(stack)
    ended = _run(stack, words, reporter)
    if ended.code and any(MISSING in line for line in ended.told):
        stack.create()
        ended = _run(stack, words, reporter)
    return ended


def _run(stack: Stack, words: Sequence[str], reporter: Reporter) -> Ended:
    command = [*_die_with_us(), *stack.render_command([*words, "--json"], config=True)]
    told: list[str] = []
    with subprocess.Popen(
        command,
        cwd=stack.root,
        env={**stack.environment, **STREAMED_PREVIEWS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        reader = threading.Thread(target=_collect, args=(process, told))
        reader.start()
        with _hand_on_signals(process) as signals:
            for line in process.stdout or ():
                _take(line, reporter, told)
            process.wait()
            reader.join()
    if process.returncode == 0:
        return Ended(0, told)
    if signals:
        return Ended(128 + signals[0], told)
    return Ended(find_exit_code([*reporter.errors, "\n".join(told)]), told)


def _collect(process: "subprocess.Popen[str]", told: list[str]) -> None:
    told.extend(line.rstrip() for line in process.stderr or () if line.strip())


def _take(line: str, reporter: Reporter, told: list[str]) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        reporter.take(event)
    elif line.strip():
        told.append(line.rstrip())


def _die_with_us() -> Sequence[str]:
    """Return the words that have the kernel interrupt the engine when this process is killed."""
    there = sys.platform == "linux" and shutil.which("setpriv")
    return ("setpriv", "--pdeathsig", "INT", "--") if there else ()


@contextmanager
def _hand_on_signals(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Hand SIGINT and SIGTERM on to the engine as SIGINT; yield what came."""
    came: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        if not came:
            console.say("Stopping: steps under way end first (once more to stop at once)")
        came.append(number)
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
