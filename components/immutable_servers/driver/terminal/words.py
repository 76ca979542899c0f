"""Words for amounts: seconds."""

MINUTE = 60


def render_seconds(seconds: float) -> str:
    """Return a span of time as a reader says it."""
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
