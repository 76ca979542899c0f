"""Durations as users write them in a stack file: `30s`, `5m`, `24h`, `14d`."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PATTERN = r"^[0-9]{1,6}[smhd]$"
RULE = "must be a duration such as 30s, 5m, 24h or 14d"


def parse_duration(text: str) -> float:
    """Return the seconds of a whole number and a unit: s, m, h or d.

    Raises:
        ValueError: The text is not such a duration.
    """
    if not isinstance(text, str) or not re.fullmatch(PATTERN[1:-1], text):
        raise ValueError(RULE)
    return float(int(text[:-1]) * SECONDS[text[-1]])


def render_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads as these whole seconds."""
    whole = round(seconds)
    unit = next(
        unit for unit in reversed(SECONDS) if whole % SECONDS[unit] == 0 and (whole or unit == "s")
    )
    return f"{whole // SECONDS[unit]}{unit}"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "errorMessage": RULE}),
]
"""Seconds in the program; the text in a stack file and in plain values."""
