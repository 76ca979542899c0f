"""Makes text of servers, tools and files plain: what is printed is data and never a command.

A terminal obeys control characters, a reader is misled by characters that are not seen or that
turn the direction of writing, and the runners of CI obey lines of certain forms.
"""

import os
import re
import unicodedata
from collections.abc import Mapping

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")
FILLER = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Letters and marks that are drawn as nothing, by Unicode's Default_Ignorable_Code_Point:
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt"""
LONGEST_LINE = 4000
"""Characters that a line of an error or of the progress may have."""
ROOM = 40
"""Characters for the words that say what was left out."""
COMMAND = re.compile(r"^([ \t]*):(?=:)", re.MULTILINE)
SECTION = re.compile(r"section_(?=(?:start|end):)")


def make_safe(text: str) -> str:
    """Return text that neither a terminal nor the runner of a CI job obeys."""
    return disarm(make_printable(text))


def make_printable(text: str) -> str:
    r"""Return text of which every character is seen, on the lines that it has.

    Colours are left out, and spaces of other widths become plain ones. What `str.isprintable`
    denies beside newline and tab (controls, turns of direction, zero widths, lone surrogates), and
    letters that are drawn as nothing, are written as in Python: `\x1b`, `\u202e`.
    """
    text = COLOUR.sub("", text).replace("\r\n", "\n")
    return UNUSUAL.sub(lambda found: _show(found[0]), text)


def _show(character: str) -> str:
    if character.isprintable() and not FILLER.match(character):
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()


def shorten(line: str, most: int = LONGEST_LINE) -> str:
    """Return a line of at most `most` characters, which says how many were left out."""
    if len(line) <= most:
        return line
    kept = most - ROOM
    return f"{line[:kept]} (and {len(line) - kept} more characters)"


def disarm(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return text without lines that the runner of this job reads as commands.

    GitHub's runner trims a line before it looks for `::`, and finds `##[` anywhere in it:
    https://github.com/actions/runner/blob/v2.321.0/src/Runner.Common/ActionCommand.cs
    GitLab folds what is between two section markers:
    https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        return COMMAND.sub(r"\1: ", text).replace("##[", "# #[")
    if environment.get("GITLAB_CI") == "true":
        return SECTION.sub("section ", text)
    return text


def escape_json(text: str) -> str:
    """Return a JSON text of the same values, of which `make_safe` changes nothing."""
    text = UNUSUAL.sub(lambda found: _escape(found[0]), text)
    return SECTION.sub(r"section\\u005f", text).replace("##[", r"#\u0023[")


def _escape(character: str) -> str:
    if _show(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
