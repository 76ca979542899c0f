"""Which records a ledger keeps."""

import pytest

from harness.builders import make_record
from immutable_servers.ledger.pin import HeldOff, Pin, Pinned
from immutable_servers.ledger.records import KEPT_RECORDS, ServiceLedger, State


@pytest.mark.parametrize("pin", [HeldOff("0"), Pinned("50", left="0"), Pinned("50", again="0")])
def test_what_a_pin_names_is_kept(pin: Pin) -> None:
    """However often the generation that serves was made again: a pin compares with its record."""
    retired = [
        make_record(f"{order}", "v1", order, state=State.RETIRED) for order in range(KEPT_RECORDS)
    ]
    live = make_record("50", "v2", KEPT_RECORDS, state=State.LIVE)
    records = {record.generation: record for record in [*retired, live]}
    kept = [record.order for record in ServiceLedger(records, pin).list_kept("50")]
    assert sorted(kept) == [0, *range(2, KEPT_RECORDS)]
    kept = [record.order for record in ServiceLedger(records).list_kept("50")]
    assert sorted(kept) == [*range(1, KEPT_RECORDS)]
