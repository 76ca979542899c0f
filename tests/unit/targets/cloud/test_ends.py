"""What carries the time when it must be gone: left over from then on, and not before."""

import datetime as dt
import time

import pytest

from immutable_servers.contract.ownership import Holdings
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.ends import Thing

OVER, ALIVE = str(int(time.time()) - 60), str(int(time.time()) + 600)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({ends.BAKE: "0"}, "of a bake that had to end at 1970-01-01T00:00:00Z"),
        ({ends.PROBE: ALIVE, ends.WINDOW: "0"}, "of a login window that had to end at 1970"),
        ({ends.PROBE: ALIVE}, ""),
        ({ends.PROBE: "soon"}, ""),
        ({}, ""),
    ],
)
def test_an_end_says_what_a_thing_was_for(words: dict[str, str], found: str) -> None:
    """A damaged end proves nothing, and so does none."""
    said = ends.describe_end(words)
    assert said.startswith(found)
    assert bool(said) == bool(found)


def test_a_kind_holds_what_is_over_and_removes_it_by_name() -> None:
    """What is alive is not in it, and no state is asked."""
    removed: list[str] = []
    things = [Thing("dead", {ends.BAKE: OVER}), Thing("alive", {ends.BAKE: ALIVE})]
    kind = ends.make_ended_kind("machine", lambda: things, removed.append)

    def ask(_owner: object) -> Holdings:
        raise AssertionError

    (found,) = kind.find(ask)
    assert (found.kind, found.name, found.sure) == ("machine", "dead", True)
    assert kind.remove("dead", ask)
    assert removed == ["dead"]


def test_what_has_no_end_is_old_after_a_day() -> None:
    """Longer than any bake may take."""
    now = dt.datetime.now(dt.UTC)
    assert not ends.is_old(now - dt.timedelta(hours=23))
    assert ends.is_old(now - dt.timedelta(hours=25))
