"""Renders amounts for a reader."""

MINUTE = 60


def render_seconds(seconds: float) -> str:
    """Return a span of time such as `1 min 22 s`."""
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
