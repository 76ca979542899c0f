"""Reads the YAML that every reader reads alike, and marks the rest.

The engine reads a stack file with Go's yaml.v3, which mixes YAML 1.1 with 1.2; other tools follow
one or the other. So a value is taken only where all of them agree. Text without quotes that one
of them takes for something else is `Unclear`: whoever needs the value refuses it by its path.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import yaml

DEEPEST, MOST_VALUES, MOST_DIGITS = 100, 20_000, 15
"""Limits of a file: levels, values with aliases written out, and digits that every reader keeps."""

WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "null", "Null", "NULL"), None),
}
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
SWITCH = re.compile(r"y|yes|n|no|on|off|true|false", re.IGNORECASE)
NUMBER = re.compile(
    r"[-+]?(0[xob][0-9a-f]*|(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]*)?"
    r"|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?|\.inf|\.nan)",
    re.IGNORECASE,
)
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?", re.DOTALL)
BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks of YAML 1.1 that 1.2 takes for letters."""

BLANK_START = re.compile("\n|\t.*\n")
"""Begins a text that the engine loses or cannot read: it writes the file again for itself first."""


class Unclear(str):
    """Text as it is written, which means different things to different readers.

    Attributes:
        rule: How to write what is meant.
    """

    __slots__ = ("rule",)
    rule: str

    def __new__(cls, text: str, rule: str) -> Self:
        """Make the text with its rule."""
        made = super().__new__(cls, text)
        made.rule = rule
        return made


def read_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return the one document of a text, with plain values and `Unclear` ones.

    Raises:
        ValueError: It is no YAML, or uses what the engine refuses or reads in another way; the
            message is for people.
    """
    import yaml  # noqa: PLC0415 - `--help` does without

    broken = BREAKS.search(text)
    if broken:
        line = text.count("\n", 0, broken.start()) + 1
        raise ValueError(f"line {line}: the letter U+{ord(broken[0]):04X} is a line break to some")
    try:
        return _Builder(text, yaml.parse(text, Loader=yaml.SafeLoader)).build_document()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def read_scalar(text: str) -> Any:  # noqa: ANN401 - text, number, switch or nothing
    """Return what a scalar without quotes means to every reader, else `Unclear`."""
    if text in WORDS:
        return WORDS[text]
    rule = _find_rule(text)
    if not rule:
        return text
    if sum(letter.isdigit() for letter in text) <= MOST_DIGITS:
        if WHOLE.fullmatch(text):
            return int(text)
        if FRACTION.fullmatch(text):
            return _shorten(float(text))
    return Unclear(text, rule)


def _shorten(number: float) -> float | int:
    """Return 1 for 1.0, as the engine hands it over."""
    return int(number) if number.is_integer() else number


def _find_rule(text: str) -> str:
    """Return how to write a text that some reader takes for something else; empty for no such."""
    quoted = 'write "' + text + '" in quotes for the text'
    if SWITCH.fullmatch(text):
        return f"means true or false to some readers of YAML: {quoted}, or else true or false"
    if NUMBER.fullmatch(text.replace("_", "")):
        return f"is no number to some readers of YAML, or another: {quoted}, or a number's digits"
    if DATE.fullmatch(text):
        return f"is a time to some readers of YAML: {quoted}"
    if text in {"~", "<<", "="}:
        return f"has a meaning of its own to some readers of YAML: {quoted}, or null for nothing"
    return ""


class _Builder:
    """Builds a document's values from its events, in their order."""

    def __init__(self, text: str, events: "Iterator[yaml.Event]") -> None:
        self.text = text
        self.events = events
        self.anchors: dict[str, Any] = {}

    def build_document(self) -> Any:  # noqa: ANN401
        """Return the values of the only document; None for an empty file."""
        import yaml  # noqa: PLC0415

        found: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    raise _fail(event, "a second document begins; the engine reads the first alone")
                found.append(self._build(next(self.events), 0))
        _check_size(found)
        return found[0] if found else None

    def _build(self, event: "yaml.Event", depth: int) -> Any:  # noqa: ANN401
        import yaml  # noqa: PLC0415

        if depth > DEEPEST:
            raise _fail(event, f"more than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _fail(event, f"nothing before it is marked &{event.anchor}")
            return self.anchors[event.anchor]
        if not isinstance(event, yaml.NodeEvent) or getattr(event, "tag", None) is not None:
            raise _fail(event, f"the tag {getattr(event, 'tag', '')}: write the value without it")
        built = self._build_node(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = built
        return built

    def _build_node(self, event: "yaml.NodeEvent", depth: int) -> Any:  # noqa: ANN401
        import yaml  # noqa: PLC0415

        if isinstance(event, yaml.ScalarEvent):
            return self._build_scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._build(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        mark = event.start_mark
        if getattr(event, "flow_style", False) and mark and self.text[mark.index] not in "{&":
            raise _fail(event, "a pair in a list needs braces, and text that ends with : quotes")
        found: dict[str, Any] = {}
        for item in self._until(yaml.MappingEndEvent):
            key = self._build(item, depth + 1)
            if not isinstance(key, str):
                raise _fail(item, "a key that is no text: put it in quotes")
            if key in found:
                raise _fail(item, f"the key {key} is written twice")
            found[key] = self._build(next(self.events), depth + 1)
        return found

    def _build_scalar(self, event: "yaml.ScalarEvent") -> Any:  # noqa: ANN401
        value = event.value
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _fail(event, "half of a surrogate pair is no letter")
        if event.style == '"' and event.start_mark and event.end_mark:
            raw = self.text[event.start_mark.index : event.end_mark.index]
            if r"\/" in raw.replace(r"\\", ""):
                raise _fail(event, r"the engine does not know \/ in quotes: write / alone")
        if BLANK_START.match(value) or (event.style in {"|", ">"} and value[:1] == "\t"):
            return Unclear(value, "begins with an empty line or a tab, which the engine loses")
        return value if event.style else read_scalar(value)

    def _until(self, end: "type[yaml.Event]") -> "Iterator[yaml.Event]":
        for event in self.events:
            if isinstance(event, end):
                return
            yield event


def _fail(event: "yaml.Event", why: str) -> ValueError:
    mark = event.start_mark
    return ValueError(f"line {mark.line + 1}: {why}" if mark else why)


def _check_size(found: Sequence[Any]) -> None:
    """Refuse a few lines that aliases make a giant of."""
    count, left = 0, [(value, 0) for value in found]
    while left:
        value, depth = left.pop()
        inner = list(value.values()) if isinstance(value, Mapping) else value
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            many = f"more than {MOST_VALUES} values or {DEEPEST} levels"
            raise ValueError(f"{many}, when its aliases are written out")
        if isinstance(inner, list):
            left += [(item, depth + 1) for item in inner]
