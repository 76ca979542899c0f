"""A cloud's codes become our errors by a table: the first row that fits speaks."""

from immutable_servers.errors import LaunchError, SetupError, TrafficError
from immutable_servers.targets.cloud.faults import Refusal, Row

ROWS = (
    Row("EXPIRED", SetupError, "The credentials have expired", "Log in again."),
    Row(".*", None, "The cloud refused {action} in {where}", "Correct what it names."),
)


def test_a_row_has_a_branch_or_the_caller_has() -> None:
    """An error about the operation itself is of the branch that its caller knows."""
    expired = Refusal(["Subclass", "EXPIRED"], "said", "disks.get", "zone-a").explain(
        ROWS, TrafficError
    )
    assert (type(expired), expired.todo) == (SetupError, "Log in again.")
    assert expired.facts == ("disks.get in zone-a: said",)
    other = Refusal(["BUSY"], "said", "disks.get", "zone-a").explain(ROWS, LaunchError)
    assert type(other) is LaunchError
    assert other.what == "The cloud refused disks.get in zone-a"


def test_a_missing_permission_is_named() -> None:
    """With what it is missing on, and where the needed ones are listed."""
    found = Refusal(["DENIED"], "said", "disks.get", "zone-a").explain_denied(
        "disks.create", "projects/x", "docs/how-to/x.md"
    )
    assert found.what == "A permission is missing: disks.create"
    assert found.facts[0] == "on projects/x"
    assert "docs/how-to/x.md" in found.todo
