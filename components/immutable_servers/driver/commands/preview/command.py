"""The command `preview`: collects, prints, and writes what a pull request shows."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immutable_servers.driver.commands.preview import words
from immutable_servers.driver.commands.preview.collect import Told, collect
from immutable_servers.driver.commands.preview.markdown import render_markdown
from immutable_servers.driver.commands.preview.models import CHANGES, make_document
from immutable_servers.driver.commands.preview.text import render_text
from immutable_servers.driver.project.files import find_stack_file, list_stacks, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError
from immutable_servers.system.files import write_whole

if TYPE_CHECKING:
    from immutable_servers.driver.commands.preview.models import StackPreview

STDOUT = "-"


@dataclass(frozen=True)
class Wanted:
    """What the flags ask for.

    Attributes:
        markdown: File of the pull request comment; empty for none.
        json: File of the data, `-` for stdout; empty for none.
        exit_code: Tell changes from nothing to do.
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
        SettingsError: There is no such stack, or a file cannot be written.
    """
    names = list_stacks(root) if wanted.every else [name]
    for each in names or [name]:
        find_stack_file(root, each)
    if not wanted.offline:
        _install(root, names, yes=wanted.yes)
    told = [_tell(root, each, wanted) for each in names]
    previews = tuple(each.preview for each in told)
    if wanted.markdown:
        marker = "all" if wanted.every else name
        write_data(wanted.markdown, render_markdown(previews, marker))
    if wanted.json:
        write_data(wanted.json, make_document(previews).model_dump_json(indent=2) + "\n")
    return _find_code(told, exact=wanted.exit_code)


def _install(root: Path, names: Sequence[str], *, yes: bool) -> None:
    for target in dict.fromkeys(str(read_values(root, n).get("target", "")) for n in names):
        install_missing(list_parts(target, acts=False), yes=yes)


def _tell(root: Path, name: str, wanted: Wanted) -> Told:
    told = collect(root, name, offline=wanted.offline)
    if STDOUT not in (wanted.json, wanted.markdown):
        show(told.preview)
    for problem in told.preview.problems:
        console.say(console.paint_error("\n".join(words.list_problem(problem))))
    return told


def show(preview: "StackPreview") -> None:
    """Print a preview for a reader; in a narrow terminal lines are wrapped at their words."""
    if preview.problems and not preview.images:
        return
    from rich.padding import Padding  # noqa: PLC0415 - costs 0.1 s, which `--help` need not pay
    from rich.text import Text  # noqa: PLC0415 - the same

    out = console.make_console(sys.stdout)
    for indent, line in render_text(preview):
        if sys.stdout.isatty():
            out.print(Padding(Text(line, overflow="fold"), (0, 0, 0, indent)))
        else:
            console.show(f"{' ' * indent}{line}")


def write_data(place: str, text: str) -> None:
    """Write what a flag asked for into its file, or to stdout for `-`.

    Raises:
        SettingsError: The file cannot be written.
    """
    if place == STDOUT:
        console.show(text.rstrip("\n"))
        return
    try:
        write_whole(Path(place), text)
    except OSError as error:
        raise SettingsError(
            f"{place} cannot be written", facts=[str(error)], todo="Name another file."
        ) from error


def _find_code(told: Sequence[Told], *, exact: bool) -> int:
    """Return the first error's code, else what `--exit-code` tells apart."""
    failed = [each.code for each in told if each.code]
    if failed:
        return failed[0]
    changed = any(each.preview.result == "changes" for each in told)
    return CHANGES if exact and changed else 0
