"""Parses the driver's command lines as it would, without running them."""

import re
import shlex
from collections.abc import Iterator, Mapping

import typer

from immutable_servers.driver import cli

ENDS = frozenset({"|", "||", "&&", ";", ">", ">>", "&", "then", "do"})
LINE = re.compile(r"\./immutable[^\n]*")


def find_command_lines(script: str, values: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the words after `./immutable` of each of its calls in a shell script."""
    joined = script.replace("\\\n", " ")
    for found in LINE.findall(joined):
        text = re.sub(r"\$(\w+)", lambda name: values[name[1]], found)
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)[1:]
        end = next((at for at, word in enumerate(words) if word in ENDS), len(words))
        yield words[:end]


def parse(words: list[str]) -> str:
    """Return the command's name when the driver accepts the line.

    Raises:
        typer.TyperException: It does not.
    """
    program = typer.main.get_command(cli.app)
    context = program.make_context("immutable", list(words))
    name, command, rest = program.resolve_command(  # type: ignore[attr-defined]
        context, [*context._protected_args, *context.args]
    )
    command.make_context(name, rest, parent=context)
    return str(name)
