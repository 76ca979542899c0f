"""Shows running work as rows at the end of a terminal: its time and its last line."""

import time
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal.console import has_style
from immutable_servers.driver.terminal.plain import Expected, Plain
from immutable_servers.driver.terminal.words import fold
from immutable_servers.text.printable import make_safe


@dataclass
class _Row:
    said: str = ""
    began: float = field(default_factory=time.monotonic)


class Live(Plain):
    """Shows one row for running work, and one line for finished work."""

    has_rows = True

    def __init__(self, expected: Expected) -> None:
        super().__init__(expected)
        self.rows: dict[Work, _Row] = {}
        self.console = Console(stderr=True, highlight=False)
        self.live = RichLive(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )
        self.live.start()

    def put(self, text: str) -> None:
        """Print a line above the rows."""
        for line in fold(make_safe(text), self.console.width):
            self.console.print(Text(line), soft_wrap=True)

    def begin(self, work: Work) -> None:
        """Add a row."""
        self.rows[work] = _Row()

    def say_of(self, work: Work | None, text: str) -> None:
        """Show the line in the row of its work, till the next one; the row names the work."""
        if work in self.rows:
            self.rows[work].said = text.partition(": ")[2]
        else:
            super().say_of(work, text)

    def end(self, work: Work, text: str) -> None:
        """Print what was done, with its last line."""
        row = self.rows.pop(work, _Row())
        self.line(f"{text}: {row.said}" if row.said else text)

    def drop(self, work: Work) -> None:
        """Remove the row; its last line stays."""
        row = self.rows.pop(work, _Row())
        last = f", last: {row.said}" if row.said else ""
        self.line(f"  {work.phase} {work.name}: did not end well{last}")

    def close(self) -> None:
        """Remove the rows."""
        self.live.stop()

    def render(self) -> RenderableType:
        """Return the rows: each on one line, its end cut in a narrow terminal."""
        table = Table.grid()
        table.add_column(no_wrap=True, overflow="ellipsis")
        for work, row in list(self.rows.items()):
            elapsed = self.word_elapsed(work, time.monotonic() - row.began)
            words = ("   ", f"{work.phase} {work.subject}", elapsed, row.said)
            style = "bold" if has_style() else ""
            table.add_row(Text(make_safe("  ".join(words).rstrip()), style=style))
        return table
