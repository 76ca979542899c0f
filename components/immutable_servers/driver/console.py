"""Speaks to the user: progress and errors on stderr, data on stdout."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from immutable_servers import places
from immutable_servers.errors import ImmutableError

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130


def say(line: str) -> None:
    """Print one line of progress; when the terminal is gone, the work goes on without."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is where the driver speaks


def show(line: str) -> None:
    """Print one line of data."""
    print(line, flush=True)  # noqa: T201 - the same


def is_interactive() -> bool:
    """Tell whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask for a yes; anything else, the end of the input too, is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO | None = None
) -> None:
    """Print a table; without a terminal its lines are as wide as they need to be."""
    from rich.table import Table  # noqa: PLC0415 - costs 0.1 s, which `env` need not pay
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    make_console(out or sys.stdout).print(table)


def make_console(out: TextIO) -> "Console":
    """Return a console of rich's that honours NO_COLOR and cuts nothing outside a terminal."""
    from rich.console import Console  # noqa: PLC0415 - costs 0.1 s, which `env` need not pay

    width = None if out.isatty() else 200
    return Console(file=out, width=width, highlight=False, soft_wrap=not out.isatty())


def fail(error: ImmutableError) -> int:
    """Print an error's three parts; return its exit code."""
    say(paint_error(render_error(error)))
    return error.exit_code


def render_error(error: ImmutableError) -> str:
    """Return the three parts for a reader, without the branch, which is the exit code's matter."""
    return str(error).removeprefix(f"{type(error).__name__}: ")


def fail_unexpectedly(error: BaseException, project_root: Path) -> int:
    """Print one line for what should not have happened, and keep the traceback in a file."""
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
