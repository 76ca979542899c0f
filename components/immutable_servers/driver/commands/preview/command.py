"""`preview`: collects what `up` would do, prints it, and writes what a pull request shows."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immutable_servers.driver.commands.preview import words
from immutable_servers.driver.commands.preview.collect import Collected, collect
from immutable_servers.driver.commands.preview.markdown import render_markdown
from immutable_servers.driver.commands.preview.models import CHANGES, make_document
from immutable_servers.driver.commands.preview.text import render_text
from immutable_servers.driver.engine.errors import find_error
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.project.files import list_stacks
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import fold
from immutable_servers.errors import SettingsError
from immutable_servers.system.files import write_whole
from immutable_servers.text.printable import disarm, escape_json, make_safe

if TYPE_CHECKING:
    from pydantic import BaseModel

    from immutable_servers.driver.commands.preview.models import StackPreview

STDOUT = "-"


@dataclass(frozen=True)
class Wanted:
    """The flags of a preview.

    Attributes:
        markdown: File of the pull request comment; empty for none.
        json: File of the data, `-` for stdout; empty for none.
        exit_code: Return another code for changes than for nothing to do.
    """

    every: bool = False
    offline: bool = False
    exit_code: bool = False
    markdown: str = ""
    json: str = ""
    yes: bool = False


def run_preview(root: Path, name: str, wanted: Wanted) -> int:
    """Preview one stack or all, and return the exit code.

    Raises:
        SettingsError: A stack's file cannot be read, or a file cannot be written.
    """
    if wanted.json == wanted.markdown == STDOUT:
        raise SettingsError(
            "`--json -` and `--markdown -` both mean stdout, where nothing else may go",
            todo="Name a file for one of them.",
        )
    names = (list_stacks(root) if wanted.every else []) or [name]
    stacks = [Opened(root, each) for each in names]
    targets = dict.fromkeys(stack.target_name for stack in stacks)
    for target in () if wanted.offline else targets:
        install_missing(list_parts(target, acts=False), yes=wanted.yes)
    collected = [_preview(stack, wanted) for stack in stacks]
    previews = tuple(each.preview for each in collected)
    if wanted.markdown:
        marker = "all" if wanted.every else name
        write_data(wanted.markdown, render_markdown(previews, marker))
    if wanted.json:
        write_data(wanted.json, render_json(make_document(previews)))
    for what, place in (("pull request comment", wanted.markdown), ("data", wanted.json)):
        if place not in ("", STDOUT):
            console.say(f"The {what} is in {place}")
    return _find_code(collected, exact=wanted.exit_code)


def run_diff(stack: Opened, *, yes: bool) -> int:
    """Show the engine's own text of a preview, each changed input in it."""
    install_missing(list_parts(stack.target_name, acts=False), yes=yes)
    done = stack.engine.run("preview", "--diff", config=True)
    console.show(done.stdout.rstrip())
    if done.returncode:
        console.say(done.stderr.rstrip())
        found = find_error(done.stderr)
        return found.exit_code if found else 1
    return 0


def _preview(stack: Opened, wanted: Wanted) -> Collected:
    collected = collect(stack, offline=wanted.offline)
    if STDOUT not in (wanted.json, wanted.markdown):
        show(collected.preview)
    for problem in collected.preview.problems:
        console.say_error("\n".join(words.list_problem(problem)))
    return collected


def show(preview: "StackPreview") -> None:
    """Print a preview for a reader; a terminal wraps long lines between words."""
    if preview.problems and not preview.images:
        return
    width = console.make_console(sys.stdout).width if sys.stdout.isatty() else sys.maxsize
    for indent, line in render_text(preview):
        for piece in fold(make_safe(f"{' ' * indent}{line}"), width):
            console.show(piece)


def write_data(place: str, text: str) -> None:
    """Write what a flag asked for, of printable text, into its file, or to stdout for `-`.

    Raises:
        SettingsError: The file cannot be written.
    """
    if place == STDOUT:
        console.show_exactly(disarm(text.rstrip("\n")))
        return
    try:
        write_whole(Path(place), text)
    except OSError as error:
        raise SettingsError(
            f"{place} cannot be written", facts=[str(error)], todo="Name another file."
        ) from error


def render_json(model: "BaseModel") -> str:
    """Return the text of a file of data."""
    return escape_json(model.model_dump_json(indent=2)) + "\n"


def _find_code(collected: Sequence[Collected], *, exact: bool) -> int:
    """Return the first error's code; without one, 20 for changes with `--exit-code`, else 0."""
    failed = [each.code for each in collected if each.code]
    if failed:
        return failed[0]
    changed = any(each.preview.result == "changes" for each in collected)
    return CHANGES if exact and changed else 0
