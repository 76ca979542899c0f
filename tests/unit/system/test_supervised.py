"""A supervised command never outlives us, and its log holds no secret."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.errors import ImageError, ImmutableError, SetupError
from immutable_servers.system import supervised
from immutable_servers.system.priority import FULL, LESS
from immutable_servers.system.supervised import DeadlineError, run_supervised
from immutable_servers.system.supervisor import (
    LAST_LINES,
    LONGEST_LINE,
    MOST_OUTPUT,
    Lines,
    Stat,
    find_parts,
    read_stat,
    redact,
)

COMPONENTS = Path(supervised.__file__).parents[2]
SLOW = "setsid sleep 600 & echo pid $! ; sleep 600 & echo pid $! ; echo pid $$ ; wait"
"""Prints the pids of a daemon, a child and the shell itself, then hangs."""
NICEST = 19
"""The highest nice value (sched(7))."""
PROVIDER = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(COMPONENTS)!r})
from immutable_servers.system.supervised import run_supervised
print("provider", os.getpid(), flush=True)
try:
    run_supervised(["sh", "-c", {SLOW!r}], cwd=Path("/"), env=os.environ, deadline=60, grace=1,
                   on_line=lambda line: print(line, flush=True), log=Path(sys.argv[1]))
except Exception as error:
    print(error, flush=True)
"""

FLOOD = """
import os
def put(text):
    while text:
        text = text[os.write(1, text):]
"""

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shell script supervised, with a log in the test's folder."""

    def run_script(script: str, **options: Any) -> int:  # noqa: ANN401 - as run_supervised
        given = {"deadline": 30.0, "grace": 5.0, "on_line": lambda _line: None, **options}
        given.setdefault("env", dict(os.environ))
        return run_supervised(
            ["sh", "-c", script], cwd=tmp_path, log=tmp_path / "logs" / "run.log", **given
        )

    return run_script


def open_pids(lines: Sequence[str]) -> list[int]:
    """Open a pidfd for each line `pid N`."""
    return [os.pidfd_open(int(line.split()[1])) for line in lines if line.startswith("pid ")]


def assert_gone(pidfds: Sequence[int]) -> None:
    """Wait for each process to be gone: a pidfd is readable from then on."""
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 20)[0], "a process was left"
        os.close(pidfd)


def read_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout
    return [process.stdout.readline().strip() for _ in range(count)]


def test_code_and_lines(run: Run, tmp_path: Path) -> None:
    """The exit code is returned, and stdout and stderr come as lines, also the last without end."""
    lines: list[str] = []
    assert run("echo one; echo two >&2; printf three; exit 3", on_line=lines.append) == 3
    assert lines == ["one", "two", "three"]
    log = tmp_path / "logs" / "run.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "one\ntwo\nthree\n" in log.read_text()


def test_a_command_gets_less_of_the_processor(run: Run) -> None:
    """With `less` what serves comes first: by the share of its session, or by its nice value."""
    group = "cat /proc/self/autogroup 2>/dev/null || echo no groups"
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    for less, wanted in ((True, LESS), (False, FULL)):
        said: list[str] = []
        assert run(f"{group}; nice", on_line=said.append, less=less) == 0
        shares, nice = said
        assert shares.endswith((f"nice {wanted}", "no groups"))
        assert nice == str(min(ours + wanted, NICEST))


def test_signal_as_code(run: Run) -> None:
    """A command that a signal ended gives the signal's negative number."""
    assert run("kill -9 $$") == -signal.SIGKILL


def test_missing_command(tmp_path: Path) -> None:
    """A command that is not there is a set-up error that names it."""
    with pytest.raises(SetupError, match="no-such-command"):
        run_supervised(
            ["no-such-command"],
            cwd=tmp_path,
            env=os.environ,
            deadline=5,
            on_line=print,
            log=tmp_path / "log",
        )


def test_secrets_are_replaced(run: Run, tmp_path: Path) -> None:
    """No secret reaches the log or a line: not whole, not a line of a PEM, not as JSON."""
    pem = "-----BEGIN KEY-----\nb3BlbnNzaC1rZXk\nAAAAB3NzaC1yc2E=\n-----END KEY-----\n"
    quoted = 'with "quotes" \\ and more'
    lines: list[str] = []
    run(
        'printf "%s\\n" "$PEM" "$WORD in text" "$JSON"',
        env={**os.environ, "PEM": pem, "WORD": "hunter2", "JSON": json.dumps({"a": quoted})},
        secrets=["hunter2", pem, quoted, ""],
        on_line=lines.append,
    )
    seen = "\n".join(lines) + (tmp_path / "logs" / "run.log").read_text()
    assert not [part for part in ("hunter2", "b3Blbn", "AAAAB3", "quotes") if part in seen]
    assert "[secret] in text" in lines


def test_longest_secret_first() -> None:
    """A secret that holds another one leaves nothing of itself."""
    assert redact(b"abcdef abc", find_parts(["abc", "abcdef"])) == b"[secret] [secret]"


def test_leftovers_are_ended(run: Run) -> None:
    """What a command leaves running when it ends by itself is ended, daemons too."""
    lines: list[str] = []
    pidfds: list[int] = []

    def on_line(line: str) -> None:
        lines.append(line)
        pidfds.extend(open_pids([line]))

    assert run("setsid sleep 600 & echo pid $!; sleep 1", on_line=on_line) == 0
    assert len(pidfds) == 1
    assert_gone(pidfds)


def test_deadline(run: Run, tmp_path: Path) -> None:
    """A deadline names what was waited for and the log, and lets the command clean up first."""
    script = "trap 'echo cleaned; exit 1' INT; echo started; sleep 600 & wait"
    lines: list[str] = []
    with pytest.raises(DeadlineError) as caught:
        run(script, deadline=0.5, what="the bake of base", on_line=lines.append)
    assert lines == ["started", "cleaned"]
    assert "waiting for the bake of base" in caught.value.what
    assert str(tmp_path / "logs" / "run.log") in str(caught.value)


def test_a_watch_ends_the_command(run: Run) -> None:
    """What it raises is raised once the command has cleaned up."""
    asked: list[str] = []

    def look() -> None:
        asked.append("")
        if len(asked) == 2:
            raise ImageError("The disk is nearly full")

    script = "trap 'echo cleaned; exit 1' INT; echo started; sleep 600 & wait"
    lines: list[str] = []
    with pytest.raises(ImageError, match="nearly full"):
        run(script, on_line=lines.append, watch=look)
    assert lines == ["started", "cleaned"]
    assert run("exit 3", watch=look) == 3


def test_what_a_run_needs_and_cannot_make_is_told(run: Run, tmp_path: Path) -> None:
    """Nothing is started, and no traceback is shown."""
    (tmp_path / "file").touch()
    with pytest.raises(ImmutableError, match=r"was not started[\s\S]*Not a directory") as caught:
        run("true", scratch=tmp_path / "file" / "scratch")
    assert "Traceback" not in str(caught.value)


def test_deaf_command_is_killed(run: Run) -> None:
    """A command that does not clean up within the grace is killed with all it started."""
    pidfds: list[int] = []
    with pytest.raises(DeadlineError):
        run(
            f"trap '' INT; {SLOW}",
            deadline=0.5,
            grace=0.2,
            on_line=lambda line: pidfds.extend(open_pids([line])),
        )
    assert len(pidfds) == 3
    assert_gone(pidfds)


def test_interrupt(run: Run, tmp_path: Path) -> None:
    """Ctrl-C while it runs ends the command cleanly and is raised on."""

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("trap 'echo cleaned; exit 1' INT; echo go; sleep 600 & wait", on_line=interrupt)
    assert "cleaned" in (tmp_path / "logs" / "run.log").read_text()


def test_scratch(run: Run, tmp_path: Path) -> None:
    """The scratch folder exists, private, while the command runs, and not after."""
    scratch = tmp_path / "scratch"
    lines: list[str] = []
    run(f"touch {scratch}/file && stat -c %a {scratch}", scratch=scratch, on_line=lines.append)
    assert lines == ["700"]
    assert not scratch.exists()


def test_we_are_killed(tmp_path: Path) -> None:
    """`kill -9` of the process that runs it ends the command, its children and its daemons."""
    with subprocess.Popen(
        [sys.executable, "-c", PROVIDER, tmp_path / "log"], stdout=subprocess.PIPE, text=True
    ) as provider:
        lines = read_lines(provider, 4)
        shell = read_stat(int(lines[3].split()[1]))
        assert shell
        pidfds = open_pids([*lines, f"pid {shell.parent}"])
        assert len(pidfds) == 4
        provider.kill()
        assert_gone(pidfds)
    assert "# ended: abandoned" in (tmp_path / "log").read_text()


def test_engine_is_killed(tmp_path: Path) -> None:
    """`kill -9` of the engine ends the command, though the provider below a shell survives."""
    engine_program = tmp_path / "pulumi"
    engine_program.write_text('#!/bin/sh\nsh -c \'"$@"; exit $?\' shell "$@"\n')
    engine_program.chmod(0o755)
    with subprocess.Popen(
        [engine_program, sys.executable, "-c", PROVIDER, tmp_path / "log"],
        stdout=subprocess.PIPE,
        text=True,
    ) as engine:
        first, *others = read_lines(engine, 4)
        pidfds = open_pids([first.replace("provider", "pid"), *others])
        engine.kill()
        assert_gone(pidfds)
        assert engine.stdout
        assert "the Pulumi engine is gone" in engine.stdout.read()


def test_engine_already_gone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started when the engine that we remember is gone, even if its pid lives again."""
    stale = Stat(os.getpid(), "pulumi", "S", 1, 1)
    monkeypatch.setattr(supervised, "find_engine", lambda: stale)
    lines: list[str] = []
    with pytest.raises(ImmutableError, match="engine is gone"):
        run("echo started", on_line=lines.append)
    assert lines == []


def run_python(tmp_path: Path, text: str, **options: Any) -> list[str]:  # noqa: ANN401 - as given
    """Run a program supervised; return the lines that it was heard to print."""
    lines: list[str] = []
    code = run_supervised(
        [sys.executable, "-c", FLOOD + text],
        cwd=tmp_path,
        env=dict(os.environ),
        deadline=60,
        on_line=lines.append,
        log=tmp_path / "run.log",
        **options,
    )
    assert code == 0
    return lines


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    """Of 20 MB without a newline 64 kB are kept, here and in the log; the next line is whole."""
    long, after = run_python(tmp_path, "put(b'x' * 20_000_000 + b'\\nafter\\n')")
    left = 20_000_000 - LONGEST_LINE
    assert long == f"{'x' * LONGEST_LINE} [{left} bytes of this line are left out]"
    assert after == "after"
    assert (tmp_path / "run.log").stat().st_size < 2 * LONGEST_LINE


@pytest.mark.parametrize("before", range(LONGEST_LINE - 8, LONGEST_LINE + 2))
def test_a_line_is_not_cut_through_a_secret(before: int) -> None:
    """Wherever the cut falls, no part of the value is left before it."""
    lines = Lines(find_parts(["hunter2"]))
    text = b"x" * before + b"hunter2" + b"y" * 100 + b"\n"
    (line,) = [
        line for at in range(0, len(text), 5000) for line in lines.take(text[at : at + 5000])
    ]
    assert b"h" not in line.partition(b" [")[0].replace(b"[secret]", b"")


def test_many_secrets_move_no_part_of_one_before_the_cut() -> None:
    """A line that `[secret]` makes shorter is cut by what it was."""
    secret = "hunter2" * 10
    lines = Lines(find_parts([secret]))
    text = b" ".join([secret.encode()] * 2000) + b"\n"
    (line,) = lines.take(text)
    assert b"hunter" not in line


def test_an_output_without_end_is_cut(tmp_path: Path) -> None:
    """Its beginning and its last lines are kept, and how much lies between is said."""
    text = "for at in range(1100): put(b'%06d' % at + b'x' * 30_000 + b'\\n')"
    lines = run_python(tmp_path, text)
    (cut,) = [at for at, line in enumerate(lines) if "left out" in line]
    numbers = [int(line[:6]) for line in lines if line[:6].isdigit()]
    assert numbers[:cut] == [*range(cut)]
    assert numbers[cut:] == [*range(1100 - LAST_LINES, 1100)]
    left = (1100 - cut - LAST_LINES) * 30_007
    assert lines[cut] == f"[{left} bytes of output are left out here]"
    assert cut * 30_007 <= MOST_OUTPUT + 30_007
    assert sum(map(len, lines)) < MOST_OUTPUT + LAST_LINES * LONGEST_LINE


def test_a_command_that_floods_can_be_stopped(tmp_path: Path) -> None:
    """While a line grows without end its deadline holds, as an interrupt does: all is events."""
    with pytest.raises(DeadlineError):
        run_supervised(
            [sys.executable, "-c", f"{FLOOD}\nwhile True: put(b'x' * 65536)"],
            cwd=tmp_path,
            env=dict(os.environ),
            deadline=1,
            on_line=lambda _line: None,
            log=tmp_path / "run.log",
            grace=1,
        )
    assert (tmp_path / "run.log").stat().st_size < 2 * LONGEST_LINE
