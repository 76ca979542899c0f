"""The table of measurements."""

from immutable_bench import stacks, table


def test_the_numbers_of_the_project_are_measured() -> None:
    """Each goal that the project states has a measurement."""
    assert stacks
    wanted = {"up-nothing", "preview-change", "app-change", "two-servers", "cutover", "memory"}
    assert wanted | {"rollback", "load"} <= set(table.MEASUREMENTS)
