"""A cloud's codes become our errors by a table: the first row that fits speaks."""

import re
from pathlib import Path

import pytest

from immutable_servers import errors
from immutable_servers.errors import ImageError, ImmutableError, LaunchError, SetupError
from immutable_servers.targets.aws import faults as aws
from immutable_servers.targets.cloud.faults import Faults, Refusal, find_denied
from immutable_servers.targets.digitalocean import faults as digitalocean
from immutable_servers.targets.gcp import faults as gcp

TABLE = """
- codes: EXPIRED
  branch: SetupError
  what: The credentials have expired
  todo: See {guide}.
- codes: BUSY
  like: throttled
- codes: GONE
  like: image gone
  what: The image is gone
- codes: FULL
  like: full
  todo: Wait.
- codes: .*
  like: refused
"""
GUIDE = "docs/how-to/x.md"


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Return a cloud's table."""
    (tmp_path / "faults.yaml").write_text(TABLE)
    return Faults("Cloud", "zones", GUIDE, tmp_path / "faults.yaml")


def explain(faults: Faults, *codes: str) -> ImmutableError:
    """Return the error of a refusal with these codes."""
    return faults.explain(Refusal(codes, "said", "disks.get", "zone-a"), LaunchError)


def test_a_row_has_a_branch_or_the_caller_has(faults: Faults) -> None:
    """An error about the operation itself is of the branch that its caller knows."""
    expired = explain(faults, "Subclass", "EXPIRED")
    assert (type(expired), expired.todo) == (SetupError, f"See {GUIDE}.")
    assert expired.facts == ("disks.get in zone-a: said",)
    other = explain(faults, "UNHEARD_OF")
    assert (type(other), other.what) == (LaunchError, "Cloud refused disks.get")


def test_a_row_may_be_as_on_each_cloud(faults: Faults) -> None:
    """What it says itself goes before what the clouds share."""
    assert explain(faults, "BUSY").what == "Cloud still slows down disks.get after all tries"
    gone = explain(faults, "GONE")
    assert (type(gone), gone.what) == (ImageError, "The image is gone")
    assert "./immutable update" in gone.todo
    assert explain(faults, "FULL").todo == "Wait."


def test_an_error_of_the_sdk_is_known_by_its_classes() -> None:
    """The nearest first, so that a row may be about all errors of a library."""
    refusal = Refusal.of(TimeoutError("late"), "disks.get", "zone-a")
    assert refusal.codes[:2] == ["TimeoutError", "OSError"]
    assert refusal.said == "late"


def test_a_missing_permission_is_named(faults: Faults) -> None:
    """With what it is missing on, and where the needed ones are listed; doctor reads its name."""
    refusal = Refusal(["DENIED"], "said", "disks.get", "zone-a")
    found = faults.explain_denied(refusal, "disks.create", "projects/x")
    assert found.what == "A permission is missing: disks.create"
    assert found.facts[0] == "on projects/x"
    assert GUIDE in found.todo
    assert find_denied(found) == "disks.create"
    assert find_denied(explain(faults, "BUSY")) == ""


@pytest.mark.parametrize(
    "faults", [aws.FAULTS, digitalocean.FAULTS, gcp.FAULTS], ids=["aws", "digitalocean", "gcp"]
)
def test_each_row_of_a_cloud_can_be_said(faults: Faults) -> None:
    """Expressions, branches and the words in braces are known, and no refusal is without a row."""
    for row in faults.rows:
        assert re.compile(row.codes)
        assert not row.branch or issubclass(getattr(errors, row.branch), ImmutableError)
        found = faults.explain(Refusal([row.codes], "said", "disks.get", "zone-a"), LaunchError)
        assert found.what
        assert found.todo.endswith(".")
        assert not re.search(r"[{}]", found.what + found.todo)
    assert faults.rows[-1].codes == ".*"
