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
