"""Words for amounts."""

import pytest

from immutable_servers.driver.terminal import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.7, "1 min 0 s"), (119.6, "2 min 0 s"), (82.2, "1 min 22 s")],
)
def test_a_span_of_time_has_no_minute_of_60_seconds(seconds: float, said: str) -> None:
    """It is rounded as a whole."""
    assert words.render_seconds(seconds) == said


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("short", ["short"]),
        (
            "  images: app 0123456789ab, base 9876543210",
            ["  images: app 0123456789ab, base", "    9876543210"],
        ),
        (
            "  1:02 + Verification web-3f2a9c41 made (14 s)",
            ["  1:02 + Verification web-3f2a9c41 made", "          (14 s)"],
        ),
        (
            "Report: /a/path/that/is/longer/than/the/terminal/is/wide and more",
            ["Report:", "  /a/path/that/is/longer/than/the/terminal/is/wide", "  and more"],
        ),
        ("one\n\ntwo", ["one", "", "two"]),
    ],
)
def test_a_long_line_breaks_between_words(line: str, folded: list[str]) -> None:
    """At 40 columns no word is broken, so that ids and paths can be copied, and all is indented."""
    assert words.fold(line, 40) == folded
