"""Random sequences on the simulated engine: long ones, with every clock and every kill."""

import json
import os
from pathlib import Path

import pytest

from harness.builders import make_record
from harness.sequences.found import FOUND, FOUND_WITH_A_CLOCK
from harness.sequences.operations import draw_chain
from harness.simulation.client import run_simulation, trace
from immutable_servers.ledger.records import ServiceLedger, State

SEQUENCES = int(os.environ.get("IMMUTABLE_SIMULATED", "20000"))
SEED = int(os.environ.get("IMMUTABLE_SEED", "0"))
"""`./immutable bench --sequences N` plays others; CI plays the same every time."""
SOME = 300
FEW, MORE = 600, 3000
"""Sequences in which a hole is looked for."""
HOLES = {
    "the pointer is believed from the state": "pointer",
    "every check passes": "checks",
    "servers are not sealed": "seal",
    "a failed candidate gets the traffic": "gate",
    "the balancer's nodes are not waited for": "nodes",
    "standbys are not counted": "standbys",
}
"""By what goes wrong, the hole of `harness.simulation.holes` that lets it."""


@pytest.mark.core
def test_some_sequences() -> None:
    """Clients are served by a whole and verified fleet, and a clean update works again."""
    assert_clean(SOME, SEED)


def test_many_sequences() -> None:
    """As above, with more of them."""
    assert_clean(SEQUENCES, SEED)


@pytest.mark.core
def test_sequences_that_once_failed() -> None:
    """What the simulation found stays repaired."""
    trace([*FOUND.values(), *FOUND_WITH_A_CLOCK.values()])


@pytest.mark.core
def test_a_seed_has_it_again() -> None:
    """The same seed gives the same operations, and they lead to the same."""
    chains = [draw_chain(seed, (8, 16), simulated=True) for seed in range(3)]
    assert chains == [draw_chain(seed, (8, 16), simulated=True) for seed in range(3)]
    assert trace(chains) == trace(chains)


@pytest.mark.parametrize("what", HOLES)
def test_a_hole_in_the_gate_is_found(what: str) -> None:
    """With a part of the gate taken out, some sequences fail, and the rows say how.

    Most holes are found soon; the others are looked for again, in more sequences.
    """
    done = run_simulation("--sequences", str(FEW), "--hole", HOLES[what])
    if done.returncode == 0:
        done = run_simulation("--sequences", str(MORE), "--hole", HOLES[what])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "found.py" in done.stdout
    assert "Operation(" in done.stdout


@pytest.mark.core
def test_somebodys_own_stack(tmp_path: Path) -> None:
    """`bench --from-stack` begins with the generations of a ledger, the live one serving."""
    records = [
        make_record("00000001", "v1", 1, state=State.RETIRED),
        make_record("00000002", "v2", 2),
        make_record("00000003", "v3", 3, state=State.LIVE),
    ]
    ledger = ServiceLedger({record.generation: record for record in records})
    file = tmp_path / "ledger.json"
    file.write_text(json.dumps({"shop": ledger.to_plain()}))
    done = run_simulation("--sequences", "50", "--ledger", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(json.dumps({"shop": ServiceLedger().to_plain()}))
    assert run_simulation("--sequences", "1", "--ledger", str(file)).returncode == 1


def assert_clean(sequences: int, seed: int) -> None:
    """Play that many sequences, and assert that none of them fails."""
    done = run_simulation("--sequences", str(sequences), "--seed", str(seed))
    assert done.returncode == 0, done.stdout + done.stderr
