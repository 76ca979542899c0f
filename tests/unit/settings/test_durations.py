import pytest

from immutable_servers.settings.durations import parse_duration, render_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86400), ("14d", 1209600), ("0s", 0)]
)
def test_parses_each_unit(text: str, seconds: float) -> None:
    """A whole number and a unit are seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1.5h", "5 m", "5M", "1h30m", "٣s", "5s\n"])
def test_refuses_anything_else(text: str) -> None:
    """What is no duration is refused with an example of one."""
    with pytest.raises(ValueError, match="such as 30s, 5m, 24h or 14d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "45s", "90s", "30m", "36h", "2d"])
def test_renders_what_it_parses(text: str) -> None:
    """Seconds become text that means the same seconds."""
    assert parse_duration(render_duration(parse_duration(text))) == parse_duration(text)
