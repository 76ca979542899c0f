"""Reads a how-to: for each section the files that it shows, and the commands that it types."""

import re
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Section:
    """One section of a page, by its heading.

    Attributes:
        steps: In the page's order: a command line, or a file's path and content.
        parts: Blocks that show a part of a file.
    """

    steps: list[str | tuple[str, str]] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)


def read_sections(page: Path) -> dict[str, Section]:
    """Return a page's sections that show anything."""
    found: dict[str, Section] = {}
    for text in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        section = Section()
        for kind, path, content in BLOCK.findall(text):
            if kind == "console":
                section.steps += [line.removeprefix("$ ") for line in content.splitlines()]
            elif path:
                section.steps.append((path, content))
            else:
                section.parts.append((kind, content))
        if section.steps or section.parts:
            found[text.partition("\n")[0]] = section
    return found
