"""Prints for the user: progress and errors on stderr, data on stdout."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from immutable_servers.errors import ImmutableError
from immutable_servers.system import places

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
GAP = 2
"""Spaces between two columns of a table."""


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is where the driver speaks


_speaker: ContextVar[Callable[[str], None]] = ContextVar("speaker", default=_print)


def say(line: str) -> None:
    """Print one line of progress; a terminal that is gone is no error."""
    _speaker.get()(line)


@contextmanager
def speaking_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Hand this thread's progress to a function instead of printing it."""
    token = _speaker.set(listener)
    try:
        yield
    finally:
        _speaker.reset(token)


def show(line: str, out: TextIO | None = None) -> None:
    """Print one line of data; when the reader has closed the pipe, the command ends.

    Raises:
        SystemExit: The pipe is closed; clean-up still runs.
    """
    try:
        print(line, file=out or sys.stdout, flush=True)
    except BrokenPipeError:
        # Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), (out or sys.stdout).fileno())
        raise SystemExit(0) from None


def is_interactive() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask a question; any answer but yes is a no, and so is the end of the input."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO | None = None
) -> None:
    """Print a table, or some lines for each row where the terminal is too narrow.

    Without a terminal its lines are as wide as they need to be.
    """
    from rich.table import Table  # noqa: PLC0415 - costs 0.1 s, which `env` need not pay
    from rich.text import Text  # noqa: PLC0415 - the same

    console = make_console(out or sys.stdout)
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    if console.is_terminal and sum(widths) + GAP * (len(widths) - 1) > console.width:
        _show_blocks(title, columns, rows, out or sys.stdout)
        return
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    show(captured.get().rstrip("\n"), out)


def _show_blocks(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO
) -> None:
    """Print each row as several lines; the terminal wraps long ones."""
    lines = [title] if title else []
    for row in rows:
        rest = zip(columns[1:], row[1:], strict=True)
        lines += [row[0], *(f"  {name}: {cell}" for name, cell in rest if cell)]
    show("\n".join(lines), out)


def make_console(out: TextIO) -> "Console":
    """Return a rich console that respects NO_COLOR and cuts nothing outside a terminal."""
    from rich.console import Console  # noqa: PLC0415 - costs 0.1 s, which `env` need not pay

    width = None if out.isatty() else 200
    return Console(file=out, width=width, highlight=False, soft_wrap=not out.isatty())


def fail(error: ImmutableError) -> int:
    """Print an error's three parts; return its exit code."""
    say(paint_error(render_error(error)))
    return error.exit_code


def render_error(error: ImmutableError) -> str:
    """Return the three parts of an error, without the name of its class."""
    return str(error).removeprefix(f"{type(error).__name__}: ")


def fail_unexpectedly(error: BaseException, project_root: Path) -> int:
    """Print one line for an unexpected error, and keep its traceback in a file."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    log = places.logs_dir(project_root) / f"crash-{stamp}-{os.getpid()}.log"
    log.write_text("".join(traceback.format_exception(error)))
    line = next(iter(str(error).splitlines()), "")
    say(paint_error(f"Something unexpected happened: {type(error).__name__}: {line}"))
    say(f"  The traceback is in {log}")
    say("What to do: run it again; when it stays so, report it with that file.")
    return 1


def paint_error(text: str) -> str:
    """Put `error:` before a message, in red where a terminal shows colours."""
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return f"error: {text}"
    return f"\033[1;31merror:\033[0m {text}"
