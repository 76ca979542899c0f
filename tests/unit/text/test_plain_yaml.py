"""What every reader of YAML reads alike is read; the rest is marked or refused."""

import pytest

from immutable_servers.text.plain_yaml import DEEPEST, Unclear, read_scalar, read_yaml

UNCLEAR = (
    "yes No on OFF y N 12:30 1:30:45.5 2026-01-31 2026-1-3 1234e5 1e3 1E+5 0o17 0777 08 0x1F 0b1 "
    "1_000 +1 .5 5. .inf -.INF .NaN ~ << = 12345678901234567890 0.12345678901234567"
)
TEXTS = "hello 30s 24h 127.0.0.1 10.0.0.0/8 1.2.3 v1.0 3f2a9c41 nope on/off 12:99 a:b 1-2 inf"


@pytest.mark.parametrize("text", UNCLEAR.split())
def test_what_readers_read_differently_is_marked(text: str) -> None:
    """The text stays as it is written, and says how to write what is meant."""
    found = read_scalar(text)
    assert isinstance(found, Unclear)
    assert found == text
    assert f'write "{text}" in quotes' in found.rule


@pytest.mark.parametrize("text", TEXTS.split())
def test_a_text_is_a_text(text: str) -> None:
    """Times, addresses and digests are no numbers to anybody."""
    found = read_scalar(text)
    assert type(found) is str
    assert found == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("FALSE", False), ("null", None), ("", None), ("0", 0), ("-3", -3)],
)
def test_a_plain_word_or_number_is_what_it_says(text: str, value: object) -> None:
    """One spelling of each is taken."""
    found = read_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_a_number_without_a_fraction_is_whole() -> None:
    """The engine hands 1.0 over as 1."""
    assert [type(one) for one in read_yaml("[1.0, 2.50, 0.0104]")] == [int, float, float]


def test_quotes_make_text_of_anything() -> None:
    """This is the way out that each refusal names."""
    for text in UNCLEAR.split():
        assert [type(one) for one in read_yaml(f"['{text}', \"{text}\"]")] == [str, str]
    assert read_yaml('{"no": 1}') == {"no": 1}


def test_an_unclear_key_is_marked() -> None:
    """A service `no` would be `false` to some readers."""
    (key,) = read_yaml("no: {}")
    assert isinstance(key, Unclear)


def test_an_alias_repeats_a_value() -> None:
    """Anchors are read alike, unclear values in them too."""
    read = read_yaml("a: &x {k: yes}\nb: *x\n")
    assert read["b"] == {"k": "yes"}
    assert isinstance(read["b"]["k"], Unclear)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key a is written twice"),
        ("80: x\n", "line 1: a key that is no text: put it in quotes"),
        ("true: x\n", "line 1: a key that is no text"),
        ("? [a]\n: x\n", "line 1: a key that is no text"),
        ("a: !!str 5\n", "line 1: the tag tag:yaml.org,2002:str"),
        ("a: !secret x\n", "line 1: the tag !secret"),
        ("a: &x [*x]\n", "line 1: nothing before it is marked &x"),
        ("--- 1\n--- 2\n", "line 2: a second document begins"),
        ("a: [b:]\n", "line 1: a pair in a list needs braces"),
        ('a: "x\\/y"\n', "line 1: the engine does not know"),
        ('a: "\\ud800"\n', "line 1: half of a surrogate pair"),
        ("a: b\u2028c\n", "line 1: the letter U+2028"),
        ("a: [", "line 1"),
        ("a: \x01", "special characters are not allowed"),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), f"more than {DEEPEST} levels"),
    ],
)
def test_what_the_engine_refuses_or_damages_is_refused(text: str, why: str) -> None:
    """With its line, for people."""
    with pytest.raises(ValueError, match=r".") as caught:
        read_yaml(text)
    assert why in str(caught.value)


def test_a_few_lines_of_aliases_are_no_giant() -> None:
    """Ten aliases of ten aliases of ten... end the reading, not the machine."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        items = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{items}]")
    with pytest.raises(ValueError, match="aliases"):
        read_yaml("\n".join(lines))


@pytest.mark.parametrize("text", ['a: "\\nx"', "a: |\n\n  x\n", "a: |\n  \tx\n"])
def test_a_text_that_the_engine_damages_is_marked(text: str) -> None:
    """Its own copy of the file loses an empty first line, and cannot read a first tab."""
    assert isinstance(read_yaml(text)["a"], Unclear)


def test_a_certificate_and_shell_letters_stay_as_they_are() -> None:
    """A literal block keeps each byte; quotes keep `$`, `%` and backslashes."""
    lines = ["-----BEGIN CERTIFICATE-----", *(["MIIB" * 16] * 38), "-----END CERTIFICATE-----"]
    block = "".join(f"  {line}\n" for line in lines)
    word = "a$b ${C} 100% \"q\" 'x' \\ end"
    read = read_yaml(f"PEM: |\n{block}D: '{word.replace(chr(39), chr(39) * 2)}'\n")
    assert read == {"PEM": "\n".join(lines) + "\n", "D": word}
