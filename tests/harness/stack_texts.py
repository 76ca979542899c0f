"""Makes texts of settings as people and tools write them, and as nobody should."""

import random
from collections.abc import Callable, Iterator

TELLING_WORDS = r"""
yes no on off y n Y N Yes NO On OFF true True TRUE false null Null NULL ~ 12:30 1:30:45 12:99
190:20:30.15 00:11:22:33:44:55 2026-01-31 2026-1-3 2026-01-31T10:00:00Z 2026-13-40 1234e5 1e3 1.5e+3
1E400 0o17 0o8 0777 08 09.5 0x1F 0xZ 0b101 0b2 1_000 _1 1__0 1_000.5 .inf -.INF +.inf .nan .NaN inf
nan Infinity << = .5 5. +1 -1 -0 -0.0 +.5 1.0 2.50 0.0104 1.10 0.1e1 123456789012345
1234567890123456789 12345678901234567890123 0.1234567890123456789 0.0000001 3f2a9c41 30s 24h
10.0.0.0/8 1.2.3 1-2 --- ... - -- 0 00 -1.50 1e 1e+ 0x 0b 0o @at `tick a:b a: :b a#b #c %d !x !!str
&a *a |x >y ,z [ ] { } {} [] [a {a a] 'a "a a'b a"b $HOME ${C} 100% C:\dir \n \x41 é ü 日本 😀 null.
true? yes! no-op on/off secure
"""
COMMON_WORDS = r"""
hello web app small true false null 0 1 80 8080 65535 0.5 2.50 -3 30s 24h 10% /healthz tests/servers
127.0.0.1 api.example.com v1.2 a:b $HOME C:\dir é 日本 it's "quoted" x=1&y=2 #no a#b
"""
TELLING, COMMON = TELLING_WORDS.split(), COMMON_WORDS.split()
LETTERS = "abyno01259.:-_+eExX#'\"\\,[]{}&*!|>%@` \t~é\u00a0\u200b😀=<?/"
ESCAPES = (
    "\\n",
    "\\t",
    "\\x41",
    "\\u00e9",
    "\\U0001F600",
    "\\/",
    "\\\\",
    '\\"',
    "\\e",
    "\\N",
    "\\_",
)
INDENT = "    "


def make_values(seed: int) -> Iterator[str]:
    """Yield texts that stand behind a key of `config`, without end."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    while True:
        yield _make_value(chance, 2, 0)


def _choose(chance: random.Random) -> str:
    return chance.choice(TELLING if chance.random() < 0.1 else COMMON)


def _make_value(chance: random.Random, levels: int, depth: int) -> str:
    """Return ` value` on the key's line, or a block below it; a line end closes it."""
    if levels and chance.random() < 0.5:
        return chance.choice((_make_mapping, _make_list))(chance, levels, depth)
    usual = (_make_plain, _make_quoted, _make_flow, _make_block)
    return chance.choice(usual if chance.random() < 0.9 else (_make_odd,))(chance, depth)


def _make_mapping(chance: random.Random, levels: int, depth: int) -> str:
    pad = INDENT * (depth + 1)
    keys = [_make_key(chance) for _ in range(chance.randint(1, 4))]
    return "\n" + "".join(
        f"{pad}{key}:{_make_value(chance, levels - 1, depth + 1)}" for key in keys
    )


def _make_list(chance: random.Random, _levels: int, depth: int) -> str:
    pad = INDENT * (depth + chance.randint(0, 1))
    count = chance.randint(1, 4)
    return "\n" + "".join(f"{pad}-{_make_plain(chance, depth)}" for _ in range(count))


def _make_key(chance: random.Random) -> str:
    if chance.random() < 0.97:
        return f"{chance.choice('abcdefgh')}{chance.randint(0, 999)}"
    return chance.choice((*TELLING, "'no'", '"80"', "? x", "a b"))


def _make_plain(chance: random.Random, _depth: int) -> str:
    note = chance.choice(("", "", " # a note"))
    if chance.random() < 0.9:
        return f" {_choose(chance)}{note}\n"
    return f" {_make_letters(chance, 8)}{note}\n"


def _make_letters(chance: random.Random, most: int) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(0, most)))


def _make_quoted(chance: random.Random, depth: int) -> str:
    words = [chance.choice((_choose(chance), "")) for _ in range(chance.randint(1, 4))]
    fold = chance.choice((" ", "  ", f"\n{INDENT * (depth + 1)}", f"\n\n{INDENT * (depth + 1)} "))
    text = fold.join(words)
    if chance.random() < 0.5:
        return " '" + text.replace("'", "''") + "'\n"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f' "{escaped}{chance.choice(("", *ESCAPES))}{chance.choice(("", "x", " "))}"\n'


def _make_flow(chance: random.Random, depth: int) -> str:
    items = [_make_plain(chance, depth).split(" #")[0].strip() for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.5:
        return f" [{', '.join(items)}]\n"
    return " {" + ", ".join(f"{_make_key(chance)}: {item}" for item in items) + "}\n"


def _make_block(chance: random.Random, depth: int) -> str:
    head = chance.choice("|>") + chance.choice(("", "", "2", "4")) + chance.choice(("", "-", "+"))
    pad = INDENT * (depth + 1)
    lines = [
        chance.choice(("", " ", "  "))
        + chance.choice((_choose(chance), "", "  indented", "tail  ", "\tx"))
        for _ in range(chance.randint(0, 5))
    ]
    return f" {head}\n" + "".join(f"{pad}{line}\n" if line.strip() else "\n" for line in lines)


def _make_odd(chance: random.Random, depth: int) -> str:
    pad = INDENT * (depth + 1)
    name = f"n{chance.randint(0, 3)}"
    make: Callable[[], str] = chance.choice(
        (
            lambda: f" &{name} {_choose(chance)}\n",
            lambda: f" *{name}\n",
            lambda: f"\n{pad}a: &{name} {{x: 1}}\n{pad}b: *{name}\n",
            lambda: f"\n{pad}a: &{name} {{x: 1}}\n{pad}b: {{<<: *{name}, y: 2}}\n",
            lambda: f"\n{pad}a: 1\n{pad}a: 2\n",
            lambda: f" !!str {_choose(chance)}\n",
            lambda: f" {_choose(chance)}\n{pad}{_choose(chance)}\n",
            lambda: f' {{"a": "{chance.choice("xyz")}", "b": [1, 2.5, null, true]}}\n',
            lambda: "\n",
            lambda: f"\n{pad}secure: {_choose(chance)}\n",
        )
    )
    return make()
