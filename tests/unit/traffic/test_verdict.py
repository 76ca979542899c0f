"""The verdict of a run: what it names, and what it says to do."""

import pytest

from immutable_servers.errors import VerificationError
from immutable_servers.traffic.verdict import judge

FAILED = {"verdict": "failed", "generation": "aaaaaaaa", "failures": ["web-0: assert False"]}


@pytest.mark.parametrize(
    ("live", "says", "says_not"),
    [
        ("bbbbbbbb", "The candidate stays", "a server that is gone"),
        ("", "The candidate stays", "a server that is gone"),
        ("aaaaaaaa", "these ones ran on a server that is gone again", "The candidate stays"),
    ],
)
def test_what_to_do_tells_a_candidate_from_changed_checks(
    live: str, says: str, says_not: str
) -> None:
    """Changed checks run on a fresh server of the live image: no candidate is there to look at."""
    with pytest.raises(VerificationError, match="Verification failed for web") as raised:
        judge({"web": {**FAILED, "live": live}})
    assert says in raised.value.todo
    assert says_not not in raised.value.todo
