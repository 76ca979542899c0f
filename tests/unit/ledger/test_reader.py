"""The ledger: unreadable is never empty."""

from typing import Any

import pytest

from harness.builders import make_record
from immutable_servers.contract.location import Location
from immutable_servers.errors import LedgerError
from immutable_servers.ledger.reader import complete, parse_ledgers
from immutable_servers.ledger.records import UNKNOWN, State


def make_output(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - what a hand may have written
    """Return an exported ledger of one generation, with changed fields."""
    record = make_record("3f2a9c41", "v1", 1).to_plain()
    return {"web": {"pin": {}, "generations": {"3f2a9c41": {**record, **changes}}}}


def test_the_ledger_of_an_earlier_program_is_read() -> None:
    """Fields that came later may be missing, and ones that went may be there."""
    output = make_output(once="known")
    later = ("left_at", "launched_at", "data_version", "window_ends", "inspected")
    record = output["web"]["generations"]["3f2a9c41"]
    for name in later:
        del record[name]
    read = parse_ledgers(output)["web"].generations["3f2a9c41"]
    assert [getattr(read, name) for name in later] == [0, 0, "", 0, ""]


def test_nothing_exported_is_empty() -> None:
    """Before the first run there is no ledger."""
    assert parse_ledgers(None) == {}


def test_what_was_written_is_read() -> None:
    """A record comes back as it was, though the engine keeps numbers as floats."""
    ledger = parse_ledgers(make_output(order=1.0, servers=2.0))["web"]
    assert ledger.generations["3f2a9c41"] == make_record("3f2a9c41", "v1", 1)


def test_the_place_of_the_servers_is_read_and_kept() -> None:
    """An earlier program wrote none; whatever the target says of fleets, the place stays."""
    output = make_output()
    assert parse_ledgers(output)["web"].place is None
    place = Location("aws", {"account": "111122223333", "region": "eu-central-1"})
    output["web"]["place"] = place.to_plain()
    ledger = parse_ledgers(output)["web"]
    assert ledger.place == place
    assert complete(ledger, {}, {}).place == place
    assert ledger.to_plain()["place"] == place.to_plain()


@pytest.mark.parametrize(
    "output",
    [
        UNKNOWN,
        "nonsense",
        {"web": UNKNOWN},
        {"web": {"generations": UNKNOWN}},
        {"web": {"generations": {"a": "b"}}},
        {"web": {"generations": {"a": {}}}},
        {"web": {"generations": {}, "pin": "web"}},
        {"web": {"generations": {}, "pin": None}},
        {"web": {"generations": {}, "pin": UNKNOWN}},
        {"web": {"generations": {}, "pin": {"who": "me", "why": "errors"}}},
        {"web": {"generations": {}, "pin": {"generation": 3}}},
        {"web": {"generations": {}, "pin": {"held": UNKNOWN, "instead": ["old"]}}},
        {"web": {"generations": {}, "place": UNKNOWN}},
        {"web": {"generations": {}, "place": {"words": {}}}},
        {"web": {"generations": {}, "place": {"target": "aws", "words": ["a"]}}},
        {"web": {"generations": {}, "place": {"target": "aws", "words": {"region": 3}}}},
        make_output(state="serving"),
        make_output(servers="two"),
        make_output(launch="small"),
    ],
)
def test_what_was_not_written_by_us_stops_the_run(output: Any) -> None:  # noqa: ANN401 - anything
    """An edited ledger, and the engine's unknown string, are errors that say where."""
    with pytest.raises(LedgerError, match="ledger"):
        parse_ledgers(output)


def test_a_record_that_depended_on_what_failed_is_left_to_the_target() -> None:
    """The engine's unknown string in a record's field leaves out that record alone."""
    output = make_output(artifact=UNKNOWN)
    output["web"]["generations"]["other"] = make_record("other", "v0", 0).to_plain()
    assert list(parse_ledgers(output)["web"].generations) == ["other"]


def test_an_unknown_state_is_read_from_the_balancer_later() -> None:
    """A verified record with an unknown state counts as a standby until the target is asked."""
    ledger = parse_ledgers(make_output(state=UNKNOWN))["web"]
    assert ledger.generations["3f2a9c41"].state is State.STANDBY


def test_what_follows_traffic_may_be_unknown() -> None:
    """A run without `Traffic` leaves state and `left_at` unknown, which Pulumi's SDK leaves out."""
    for changes in ({"state": UNKNOWN, "left_at": UNKNOWN}, {}):
        output = make_output(**changes)
        if not changes:
            record = output["web"]["generations"]["3f2a9c41"]
            del record["state"], record["left_at"]
        read = parse_ledgers(output)["web"].generations["3f2a9c41"]
        assert (read.state, read.left_at) == (State.STANDBY, 0)


def test_a_record_that_is_unknown_is_left_to_the_target() -> None:
    """A run that left out a generation's resources exported the engine's unknown string for it."""
    output = make_output()
    output["web"]["generations"]["00000000"] = UNKNOWN
    assert list(parse_ledgers(output)["web"].generations) == ["3f2a9c41"]
