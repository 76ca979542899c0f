"""Renders amounts and long lines for a reader."""

import re
from textwrap import TextWrapper

MINUTE = 60

INDENT = re.compile(r"\s*(?:\d+:\d\d )?\s*(?:[-+~=>]{1,2} )?")
"""What stands before the words of a line: spaces, the run's clock, the sign of a step."""
STEP = 2


def render_seconds(seconds: float) -> str:
    """Return a span of time such as `1 min 22 s`."""
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def fold(text: str, width: int) -> list[str]:
    """Return the lines of a text for a terminal: long ones break between words, and are indented.

    A word that is longer than a line, such as a path, stays whole: the terminal breaks it, and it
    can still be copied.
    """
    return [piece for line in text.split("\n") for piece in _fold_line(line, width)]


def _fold_line(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    found = INDENT.match(line)
    indent = found[0] if found else ""
    wrapper = TextWrapper(
        width=width,
        initial_indent=indent,
        subsequent_indent=" " * min(len(indent) + STEP, width // 4),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return wrapper.wrap(line[len(indent) :])
