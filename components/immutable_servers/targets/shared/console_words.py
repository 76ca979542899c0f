"""Picks out of a server's console what helps to see why it does not serve: its units' own words.

The base's journal goes to the console (journald.conf(5), `ForwardToConsole=`), a line as
`[   83.100000] datasette[154]: text`. A unit that fails again and again, or a proxy that is asked
twice a second, would fill any number of last lines. So lines of a unit that differ in numbers alone
count as one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from immutable_servers.text.printable import COLOUR, make_printable, shorten

READ_BYTES = 2 * 2**20
"""The end of a console in which words are looked for."""
LINE = re.compile(r"\[ *(?P<at>\d+)\.\d+\] (?P<name>[^\s\[\]]+)\[\d+\]: (?P<text>.*)")
UNIT = re.compile(r"(?P<unit>[\w@:.\\-]+\.[a-z]+)(?=: | - |\.$)")
"""A unit in a line of systemd's own: `app.service: …`, `Failed to start app.service - …`."""
SYSTEMD_TROUBLE = re.compile(
    r"process exited|Failed |repeated too quickly|Dependency failed|timed out|killed|OOM"
)
TROUBLE = re.compile(
    r"error|exception|traceback|panic|fatal|fail|exited|cannot|can't|could not|unable|denied"
    r"|refused|invalid|missing|not found|not defined|no such|no module|unknown|already in use"
    r"|repeated too quickly|timed out|killed",
    re.IGNORECASE,
)
UPSTREAM = re.compile(r"upstream.*, request: ")
"""What nginx says when it is asked, for its health say, and its application does not answer."""
BASE = re.compile(r"\(?(systemd|sd-|immutable-|ssh|nginx|dbus)|kernel$")
"""Who speaks on every server; of these only trouble is shown."""
KERNEL, PROXY = "kernel", "nginx"
POINTERS = re.compile(r"[ ~^]*")
"""A line of a traceback that marks a part of the line above."""
NUMBER = re.compile(r'(?<!" )\b[0-9a-fx]*\d[0-9a-fx]*\b|(?<=[A-Za-z_])\d+')
"""What differs in lines that say the same; an HTTP status behind a quoted request does not."""

FIRST, WORST, LAST = 2, 4, 8
"""Lines of a unit that are shown: its first, its first ones of trouble, its last."""
MOST_UNITS = 6
LONGEST = 300
"""Characters of a line."""


@dataclass
class _Said:
    """A line of a unit, as it was last said."""

    text: str
    times: int = 1


@dataclass
class _Speaker:
    """What one unit said: different lines in the order in which they came first."""

    name: str
    lines: dict[str, _Said] = field(default_factory=dict)
    last: int = 0

    @property
    def has_trouble(self) -> bool:
        return any(TROUBLE.search(line.text) for line in self.lines.values())

    def take(self, text: str, at: int) -> None:
        """Take a line; what was said before counts once more."""
        self.last = at
        key = "" if self.name == PROXY and UPSTREAM.search(text) else NUMBER.sub("0", text)
        if key in self.lines:
            self.lines[key].text = text
            self.lines[key].times += 1
        else:
            self.lines[key] = _Said(text)

    def describe(self) -> Iterator[str]:
        """Yield the lines that are shown, and how many are left out between them."""
        said = list(self.lines.values())
        worst = [at for at, line in enumerate(said) if TROUBLE.search(line.text)]
        shown = sorted({*range(FIRST), *worst[:WORST], *range(max(0, len(said) - LAST), len(said))})
        before = -1
        for at in (at for at in shown if at < len(said)):
            if at - before > 1:
                yield f"{self.name}: ({at - before - 1} more lines)"
            often = f" ({said[at].times} times)" if said[at].times > 1 else ""
            yield f"{self.name}: {shorten(make_printable(said[at].text), LONGEST)}{often}"
            before = at


def describe_words(text: str) -> Sequence[str]:
    """Return lines of what a console's end says, the units with trouble first; empty for nothing.

    Each is `unit: text`, bounded, and can be printed. Of what speaks on every server only trouble
    is among them, and nginx's upstream errors are not where another unit says why.
    """
    speakers = _listen(text.splitlines())
    noise = speakers.pop("nginx upstream", None)
    own = [one for one in speakers.values() if not BASE.match(one.name)]
    if noise and not any(one.has_trouble for one in own):
        speakers["nginx upstream"] = noise
    chosen = own + [one for one in speakers.values() if one not in own and one.has_trouble]
    chosen = sorted(chosen or speakers.values(), key=lambda one: _rank(one, own))
    return [line for one in chosen[:MOST_UNITS] for line in one.describe()]


def _rank(one: _Speaker, own: Sequence[_Speaker]) -> tuple[bool, bool, bool, int]:
    """Order by interest: the image's own before the base's, programs before systemd's words."""
    return one not in own, not one.has_trouble, one.name.endswith(".service"), -one.last


def _listen(lines: Iterable[str]) -> dict[str, _Speaker]:
    speakers: dict[str, _Speaker] = {}
    for line in (COLOUR.sub("", line) for line in lines):
        found = LINE.search(line)
        if not line.strip() or (found and POINTERS.fullmatch(found["text"])):
            continue
        name, text = (found["name"], found["text"]) if found else (KERNEL, line.strip())
        key = name
        if name == "systemd":
            unit = UNIT.search(text)
            if not unit or not SYSTEMD_TROUBLE.search(text):
                continue
            key = name = unit["unit"]
            text = text.removeprefix(f"{name}: ")
        elif name == PROXY and UPSTREAM.search(text):
            key = "nginx upstream"
        speakers.setdefault(key, _Speaker(name)).take(text, int(found["at"]) if found else 0)
    return speakers
