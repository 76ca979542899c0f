"""What a rollback says before it begins."""

from immutable_servers.driver.commands.rollback import describe_way


def test_what_going_back_takes_is_said() -> None:
    """A boot is never a surprise: not for a retired generation, nor for a standby that is small."""
    assert describe_way(2, 2, launched=False) == "its servers run"
    assert describe_way(3, 2, launched=False) == "its servers run"
    small = describe_way(1, 3, launched=False)
    assert "it has 1 server, and traffic waits for 2 more" in small
    assert "launched again, without a bake" in describe_way(2, 2, launched=True)
