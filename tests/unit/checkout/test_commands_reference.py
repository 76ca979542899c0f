"""`--help` and docs/reference/commands.md say the same as the program."""

import re
from pathlib import Path

import pytest
import typer

from harness.checkout import ROOT
from harness.command_lines import find_command_lines, parse
from immutable_servers.driver import cli
from immutable_servers.driver.commands.preview.models import CHANGES
from immutable_servers.driver.examples import EXAMPLES
from immutable_servers.errors import EXIT_CODES

REFERENCE = (ROOT / "docs/reference/commands.md").read_text()
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_has_an_example_that_works(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command shows how it is typed, and the driver accepts it."""
    assert cli.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    for example in EXAMPLES[name]:
        assert f"    {example}\n" in shown
        text = example.replace('eval "$(', "").removesuffix(')"')
        (words,) = find_command_lines(text, {})
        assert parse(words) == name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_flag_is_documented(name: str) -> None:
    """Each command has a section, with each of its flags and, where there is one, the plain way."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## )", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found, f"## {name}"
    flags = [option for parameter in COMMANDS[name].params for option in parameter.opts]
    said_of_all = re.findall(r"`(--\w+)", REFERENCE.partition("\n## ")[0])
    for flag in flags:
        if flag.startswith("--") and flag not in ("--help", *said_of_all):
            assert f"`{flag}" in found[1], flag


def test_no_flag_is_documented_that_is_gone() -> None:
    """A table names only flags that the command has."""
    for name, section in re.findall(
        r"^## (\w+)\n(.*?)(?=^## )", REFERENCE, re.MULTILINE | re.DOTALL
    ):
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        for flag in re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE):
            assert flag in known, (name, flag)


def test_exit_codes_are_those_of_the_error_tree() -> None:
    """The table names each branch with its code; the code for changes is none of them."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", REFERENCE, re.MULTILINE)
    assert {name: int(code) for code, name in rows} == dict(EXIT_CODES)
    assert f"| {CHANGES} |" in REFERENCE
    assert CHANGES not in {*EXIT_CODES.values(), 0, 130}


def test_messages_name_commands_that_exist() -> None:
    """What a message tells a reader to type is a command of this program."""
    folder = Path(cli.__file__).parents[1]
    named = {
        (word, file.name)
        for file in folder.rglob("*.py")
        for word in re.findall(r"\./immutable (?:-\S+ )*([a-z]\w*)", file.read_text())
    }
    assert len(named) > len(COMMANDS)
    assert {(word, file) for word, file in named if word not in COMMANDS} == set()
