"""Prints for the user: progress and errors on stderr, data on stdout.

Text that can hold words of a server, a tool or a file passes `make_safe` here, at the way out.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from immutable_servers.driver.terminal.words import fold
from immutable_servers.errors import ImmutableError
from immutable_servers.system import places
from immutable_servers.text.printable import make_safe

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
GAP = 2
"""Spaces between two columns of a table."""
RED_ERROR = "\033[1;31merror:\033[0m"


def _print(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is where the driver speaks


_speaker: ContextVar[Callable[[str], None]] = ContextVar("speaker", default=_print)


def say(line: str) -> None:
    """Print one line of progress; a terminal that is gone is no error."""
    say_exactly(make_safe(line))


def say_exactly(line: str) -> None:
    """Print a line that is ours alone, such as the mark of a group in a CI log."""
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
    show_exactly(make_safe(line), out)


def show_exactly(line: str, out: TextIO | None = None) -> None:
    """Print data as `show` does, but unchanged: what is made for a program, or safe already.

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
    sys.stderr.write(make_safe(f"{question} [y/N] "))
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
    rows = [[make_safe(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    if console.is_terminal and sum(widths) + GAP * (len(widths) - 1) > console.width:
        _show_blocks(title, columns, rows, console.width, out)
        return
    table = Table(
        title=Text(make_safe(title)) if title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="table.header" if has_style() else "",
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    show_exactly(captured.get().rstrip("\n"), out)


def _show_blocks(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    out: TextIO | None,
) -> None:
    """Print each row as several lines, long ones broken between words."""
    lines = [title] if title else []
    for row in rows:
        rest = zip(columns[1:], row[1:], strict=True)
        lines += [row[0], *(f"  {name}: {cell}" for name, cell in rest if cell)]
    show("\n".join(fold("\n".join(lines), width)), out)


def make_console(out: TextIO) -> "Console":
    """Return a rich console that respects NO_COLOR and cuts nothing outside a terminal."""
    from rich.console import Console  # noqa: PLC0415 - costs 0.1 s, which `env` need not pay

    width = None if out.isatty() else 200
    return Console(file=out, width=width, highlight=False, soft_wrap=not out.isatty())


def fail(error: ImmutableError) -> int:
    """Print an error's three parts; return its exit code."""
    say_error(render_error(error))
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
    say_error(f"Something unexpected happened: {type(error).__name__}: {line}")
    say(f"  The traceback is in {log}")
    say("What to do: run it again; when it stays so, report it with that file.")
    return 1


def say_error(text: str) -> None:
    """Print a message after `error:`, which is red where a terminal shows colours."""
    plain = not (has_style() and sys.stderr.isatty())
    say_exactly(f"{'error:' if plain else RED_ERROR} {make_safe(text)}")


def has_style() -> bool:
    """Return whether text may be coloured or bold; for rich `NO_COLOR` takes colours alone.

    https://no-color.org
    """
    return not os.environ.get("NO_COLOR")
