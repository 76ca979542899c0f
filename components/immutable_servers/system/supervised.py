"""Runs a command that can never outlive us, with its output in a private log without secrets."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from immutable_servers.errors import ImmutableError, SetupError
from immutable_servers.system import supervisor
from immutable_servers.system.engine_watch import find_engine
from immutable_servers.system.priority import LESS
from immutable_servers.system.stopping import on_stop, raise_if_stopped

WATCH_SECONDS = 1.0
"""How often `watch` is asked."""

GRACE = 20.0
"""How long a command may clean up after it was asked to end, in seconds; then it is killed."""

REASONS = {"engine": "the Pulumi engine is gone", "stopped": "its supervisor was asked to stop"}


class DeadlineError(ImmutableError):
    """A command did not end before its deadline; nothing of it runs any more."""


def run_supervised(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    deadline: float,
    on_line: Callable[[str], None],
    log: Path,
    secrets: Sequence[str] = (),
    what: str = "",
    grace: float = GRACE,
    scratch: Path | None = None,
    watch: Callable[[], None] | None = None,
    less: bool = False,
) -> int:
    """Run a command to its end, and return its exit code (negative: the signal that ended it).

    The command and all that it started are ended, with SIGINT first and SIGKILL after `grace`, when
    the deadline is over, when this process is gone, interrupted or asked to stop, and when the
    Pulumi engine above us is gone. What the command leaves running when it ends by itself is killed
    too.

    Args:
        argv: The command; no secrets, any user of the machine can read it.
        cwd: Where it runs.
        env: Its whole environment; secrets may be here.
        deadline: Seconds that it may take.
        on_line: Takes each line of its output, stdout and stderr as one, without secrets.
        log: The output is appended here, mode 0600, without secrets.
        secrets: Values that are replaced by `[secret]`, each line of them also on its own.
        what: What is waited for, named by the deadline's error; the command when empty.
        grace: Seconds to clean up in.
        scratch: A folder that is made for this run and removed when all has ended, also when we
            were killed.
        less: It gets less of the processor than what serves on this machine.
        watch: Is asked each second, in a thread; the error that it raises ends the command.

    Raises:
        DeadlineError: It was ended by its deadline.
        SetupError: There is no such command.
        StoppedError: This process was asked to stop.
        ImmutableError: The engine is gone, or what `watch` raised.
    """
    engine = find_engine()
    log.parent.mkdir(parents=True, exist_ok=True)
    request = {
        "argv": [str(part) for part in argv],
        "cwd": str(cwd),
        "deadline": deadline,
        "grace": grace,
        "log": str(log),
        "secrets": list(secrets),
        "scratch": str(scratch or ""),
        "nice": LESS if less else 0,
        "engine": [engine.pid, engine.started] if engine else None,
    }
    what = what or f"`{argv[0]}`"
    ended = _follow(request, env, on_line, what, watch)
    _raise_unless_ended_by_itself(ended, what, argv, deadline, log)
    code: int = ended["code"]
    return code


def _follow(
    request: Mapping[str, Any],
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    what: str,
    watch: Callable[[], None] | None,
) -> Mapping[str, Any]:
    """Start the supervisor, hand it the request, and pass its lines on until the last message."""
    raise_if_stopped(what)
    # By its file and without site packages: it starts in a few hundredths of a second.
    with subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__],
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        stdin, stdout = _get_pipes(process)
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            end = partial(process.send_signal, signal.SIGTERM)
            with on_stop(end, what), _start_watching(watch, end):
                for text in stdout:
                    message: dict[str, Any] = json.loads(text)
                    if "ended" in message:
                        return message
                    on_line(message["line"])
        finally:
            # An interrupt, or an error of on_line, ends the command through this pipe; what it
            # still prints goes to the log alone.
            with suppress(BrokenPipeError):
                stdin.close()
            for _ in stdout:
                pass
    return {"ended": "lost", "code": None}


@contextmanager
def _start_watching(watch: Callable[[], None] | None, end: Callable[[], None]) -> Iterator[None]:
    """Ask `watch` in a thread; when it raises, `end` what it looks at, and raise that too."""
    if watch is None:
        yield
        return
    over, found = threading.Event(), list[ImmutableError]()

    def ask() -> None:
        while not found and not over.wait(WATCH_SECONDS):
            try:
                watch()
            except ImmutableError as error:
                found.append(error)
                end()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if found:
        raise found[0]


def _get_pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError(process)  # Popen was asked for both.
    return process.stdin, process.stdout


def _raise_unless_ended_by_itself(
    ended: Mapping[str, Any], what: str, argv: Sequence[str], deadline: float, log: Path
) -> None:
    why = ended["ended"]
    facts = [f"Log: {log}"]
    if why == "deadline":
        raise DeadlineError(
            f"The deadline of {deadline:.0f} s passed while waiting for {what}",
            facts=facts,
            todo="See in the log what it did last; give it a longer deadline when it is slow.",
        )
    if why.startswith("missing"):
        raise SetupError(
            f"The command `{argv[0]}` could not be started",
            facts=[why.partition(": ")[2]],
            todo="Run `./immutable doctor`: it lists what is missing, with the fix.",
        )
    if why.startswith("unready"):
        raise ImmutableError(
            f"The command `{argv[0]}` was not started: its log, or its folder, could not be made",
            facts=[why.partition(": ")[2]],
            todo="Make room, or make the folder writable; then run the same command again.",
        )
    if why:
        raise_if_stopped(what)
        reason = REASONS.get(why, "its supervisor was killed")
        raise ImmutableError(
            f"{what[0].upper()}{what[1:]} was ended: {reason}",
            facts=facts,
            todo="Run the same command again.",
        )
