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


def test_nothing_is_offered_of_a_candidate_that_goes() -> None:
    """With `on_failure: remove` neither a login nor a path of it is named, but what is kept."""
    looks = ["all that its servers printed: ./immutable logs web --generation aaaaaaaa"]
    advice = {"web": {"leaves": True, "inspection": looks, "todo": None}}
    with pytest.raises(VerificationError) as raised:
        judge({"web": {**FAILED, "live": "bbbbbbbb"}}, (), advice)
    assert raised.value.facts[-1] == f"  {looks[0]}"
    assert "nothing was deleted" not in raised.value.what
    assert "stays" not in raised.value.todo
    assert "(on_failure: remove)" in raised.value.todo


def test_what_to_do_begins_with_what_the_verification_says() -> None:
    """Servers that were too slow are not the source's fault alone; it is said once."""
    slow = "Where they only need longer, raise `boot_deadline` in immutable-servers:local."
    advice = {name: {"leaves": False, "inspection": [], "todo": slow} for name in ("web", "api")}
    with pytest.raises(VerificationError) as raised:
        judge({name: {**FAILED, "live": "bbbbbbbb"} for name in advice}, (), advice)
    assert raised.value.todo.startswith(f"{slow} Fix the source")
    assert raised.value.todo.count("boot_deadline") == 1


def test_what_serves_without_a_verdict_is_named_with_the_ways_out() -> None:
    """The traffic was moved by hand: the live servers passed nothing."""
    with pytest.raises(VerificationError) as raised:
        judge({"web": {**FAILED, "live": "aaaaaaaa"}}, ["web"])
    assert "What serves was never verified." in raised.value.todo
    assert "`./immutable replace`" in raised.value.todo
    assert "passed their own checks" not in raised.value.todo
