"""What is read of a Packer template without Packer."""

from pathlib import Path

import pytest

from immutable_servers.images.template import declares_source, find_placeholders, find_variables

LONG = 20_000


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ('variable "a" { type = string }\n', {"a": " type = string "}),
        ('variable "a" {\n  type = list(string)\n\n  }\n', {"a": "\n  type = list(string)\n\n"}),
        ('/* variable "a" {}\n*/\nvariable "b" {}\n', {"b": ""}),
        ('x = "/* no comment"\nvariable "b" {}\n', {"b": ""}),
        ('variable "b" {}\n/* without end\nvariable "a" {}\n', {"b": ""}),
    ],
)
def test_variables_are_found(tmp_path: Path, text: str, variables: dict[str, str]) -> None:
    """Blocks on one line and on several, and none that is in a comment."""
    (tmp_path / "x.pkr.hcl").write_text(text)
    assert find_variables(tmp_path) == variables


@pytest.mark.parametrize(
    "text",
    [
        "/*\n" * LONG,
        'variable "a" {\n' * LONG,
        'variable "a" {' + "\n" * LONG,
        f'variable "a" {{{"} " * LONG}x\n',
        "source " * LONG,
    ],
    ids=["comments", "blocks", "lines", "ends", "words"],
)
def test_a_long_template_is_read_once(tmp_path: Path, text: str) -> None:
    """What would have to be looked at again from each of its lines is read to its end at once.

    No time is asserted: looked at again, some of these texts take minutes.
    """
    (tmp_path / "x.pkr.hcl").write_text(text)
    assert not declares_source(tmp_path)
    assert {*find_variables(tmp_path)} <= {"a"}
    assert find_placeholders(tmp_path, {}) == {}
