"""Text of servers, tools and files is data: no terminal and no runner of CI obeys it."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable_servers.errors import ImmutableError
from immutable_servers.text.printable import (
    LONGEST_LINE,
    disarm,
    escape_json,
    make_printable,
    make_safe,
    shorten,
)

GITHUB, GITLAB = {"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}
PIECES = [
    *("\x1b", "\x1b[31m", "\x1b]52;c;Y2F0\x07", "\x9b2J", "\r", "\r\n", "\n", "\t", " ", "\x00"),
    *("\u202e", "\u2066", "\u200b", "\u2028", "\x85", "\ufeff", "\xa0", "\u3164", "\ufe0f"),
    *("::", ":", "##", "#", "[", "##[error]", "::add-mask::verified", "::stop-commands::abc"),
    *("section_", "start:", "end:", "section_start:1:x\r\x1b[0K", "\udce9", "\U000e0041", "ok"),
]
"""What attacks are made of."""
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
TERMINALS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
HIDDEN = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff]")


@given(TEXT)
def test_no_byte_is_one_that_a_terminal_obeys(text: str) -> None:
    """No control character but newline and tab is left, and none that hides or turns text."""
    shown = make_printable(text)
    assert not TERMINALS.search(shown.encode())
    assert not HIDDEN.search(shown)


@given(TEXT)
def test_no_line_is_one_that_a_runner_obeys(text: str) -> None:
    """GitHub trims a line by Unicode's blanks and finds `##[` anywhere; GitLab finds sections."""
    for line in disarm(make_printable(text), GITHUB).split("\n"):
        assert not line.strip().startswith("::")
        assert "##[" not in line
    assert not re.search(r"section_(start|end):", disarm(make_printable(text), GITLAB))


@given(TEXT)
def test_twice_is_as_once(text: str) -> None:
    """Text passes the filter at its source and again at the way out."""
    for environment in ({}, GITHUB, GITLAB):
        once = disarm(make_printable(text), environment)
        assert disarm(make_printable(once), environment) == once


@given(st.text(st.sampled_from("grün →版本✓Ωлا😀 \n\t:/\\#%")))
def test_plain_text_is_unchanged(text: str) -> None:
    """Letters and signs of all languages stay as they are, and so does a backslash."""
    assert make_printable(text) == text


@given(st.dictionaries(TEXT, TEXT))
def test_json_stays_what_it_is(values: dict[str, str]) -> None:
    """A JSON text on a terminal or in a CI log says the same values, and nothing else."""
    for ascii_only in (True, False):
        text = escape_json(json.dumps(values, indent=2, ensure_ascii=ascii_only))
        assert json.loads(text) == values
        for environment in ({}, GITHUB, GITLAB):
            assert disarm(make_printable(text), environment) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]52;c;Y2F0\x07", r"\x1b]52;c;Y2F0\x07"),
        ("a\x1b\x1b[m[2Jb", r"a\x1b[2Jb"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("evil\u202egpj.sh", r"evil\u202egpj.sh"),
        ("we\u200bb", r"we\u200bb"),
        ("one\r\ntwo\rthree", "one\ntwo\\rthree"),
        ("1\xa0000\u3000x", "1 000 x"),
        ("na\udcefve", r"na\udcefve"),
    ],
)
def test_what_is_replaced_can_be_read(text: str, shown: str) -> None:
    """A reader sees what was there, written as in Python."""
    assert make_printable(text) == shown


def test_commands_of_a_runner_are_disarmed_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On GitHub and on GitLab, and nowhere else."""
    text = "x\n  ::error::from a server\na ##[group]b\nsection_start:1:x"
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITLAB_CI", raising=False)
    assert make_safe(text) == text
    monkeypatch.setenv("GITLAB_CI", "true")
    assert make_safe(text) == text.replace("section_start", "section start")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = "x\n  : :error::from a server\na # #[group]b\nsection_start:1:x"
    assert make_safe(text) == said
    assert "\n  : :error::from a server" in str(
        ImmutableError("x", facts=["::error::from a server"])
    )


@given(st.text(max_size=50))
def test_a_long_line_says_how_much_is_left_out(text: str) -> None:
    """It is never longer than the bound, also when it was cut before."""
    line = text + "x" * LONGEST_LINE
    short = shorten(line)
    assert len(short) <= LONGEST_LINE
    assert shorten(short) == short
    kept, _, words = short.rpartition(" (and ") if text else (line, "", "0")
    assert len(kept) + int(words.split()[0]) == len(line)


def test_an_error_is_printable_from_the_start() -> None:
    """Plain `pulumi` prints it too, and nobody filters there."""
    error = ImmutableError("a\x1bb", facts=["c\x1b[2Jd", "e" * 10_000], todo="f\u202eg")
    assert (error.what, error.facts[0], error.todo) == (r"a\x1bb", r"c\x1b[2Jd", r"f\u202eg")
    assert max(map(len, str(error).splitlines())) <= LONGEST_LINE + 2
