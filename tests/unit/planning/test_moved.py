"""A stack has one place: which ledgers may be worked on from where."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness.builders import make_record
from immutable_servers.contract.location import MACHINE, Location
from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.planning.moved import refuse_moved
from immutable_servers.system import machine
from immutable_servers.targets import load_target
from immutable_servers.targets.place import Place

if TYPE_CHECKING:
    from immutable_servers.contract.target import Target

PLACE = Place("instant", {}, Scope("shop", "dev"))
HERE = Location("aws", {"account": "111122223333", "region": "eu-central-1"})
ELSEWHERE = Location("aws", {"account": "111122223333", "region": "us-east-1"})


class OneTarget:
    """A place, and the generations that have a fleet there; asking without a network is noted."""

    def __init__(self, location: Location, fleets: Sequence[str] = ()) -> None:
        self.location, self.known, self.fleets = location, fleets, self
        self.asked: list[bool] = []

    def find_location(self, *, ask: bool = True) -> Location:
        """Return the place."""
        self.asked.append(ask)
        return self.location

    def find(self, scope: Scope) -> dict[str, str]:
        """Return the fleets of the service `web`."""
        return dict.fromkeys(self.known if scope.service == "web" else (), "fleet")


def refuse(
    ledgers: Mapping[str, ServiceLedger], target: OneTarget, *, offline: bool = False
) -> Location:
    """Ask whether a run at the target's place is refused."""
    return refuse_moved(PLACE, cast("Target", target), ledgers, offline=offline)


def make_ledger(place: Location | None, *states: State) -> ServiceLedger:
    """Return the ledger of a service with a generation in each state, at a place."""
    records = [make_record(f"{n}", "v1", n, state=state) for n, state in enumerate(states)]
    return ServiceLedger({record.generation: record for record in records}, place=place)


@pytest.mark.parametrize("state", [State.LIVE, State.STANDBY, State.CANDIDATE])
def test_servers_elsewhere_are_refused(state: State) -> None:
    """Whatever they are: nobody would ever delete them. Every service that has some is named."""
    ledgers = {
        "api": make_ledger(ELSEWHERE, State.RETIRED, state),
        "old": make_ledger(ELSEWHERE, State.RETIRED),
        "web": make_ledger(HERE, State.LIVE),
    }
    with pytest.raises(SettingsError, match="at another place") as refused:
        refuse(ledgers, OneTarget(HERE, ["1"]))
    assert refused.value.facts[0].endswith("region us-east-1), with servers of api")


def test_a_stack_without_servers_may_move() -> None:
    """What was retired at the old place is only a record, as is what never was."""
    ledgers = {"api": make_ledger(ELSEWHERE, State.RETIRED), "web": make_ledger(ELSEWHERE)}
    assert refuse(ledgers, OneTarget(HERE)) == HERE.of_stack(PLACE.scope)


def test_a_ledger_of_an_earlier_program_is_at_the_place_of_the_run() -> None:
    """It does not say where its servers are."""
    refuse({"web": make_ledger(None, State.LIVE)}, OneTarget(HERE))


def test_what_a_run_without_a_network_does_not_know_is_not_compared() -> None:
    """The account is left out of an offline preview, and the region is not."""
    ledgers = {"web": make_ledger(HERE, State.LIVE)}
    near, far = (Location("aws", {"region": one}) for one in ("eu-central-1", "us-east-1"))
    target = OneTarget(near)
    refuse(ledgers, target, offline=True)
    assert target.asked == [False]
    with pytest.raises(SettingsError):
        refuse(ledgers, OneTarget(far), offline=True)


def test_a_renamed_stack_is_refused_with_the_way_back() -> None:
    """Its servers keep the name that they were launched under; without servers it may have any."""
    renamed = HERE.of_stack(Scope("shop", "old"))
    with pytest.raises(SettingsError, match="dev was renamed while it has servers") as refused:
        refuse({"web": make_ledger(renamed, State.LIVE)}, OneTarget(HERE))
    assert "pulumi stack rename old --stack dev" in refused.value.todo
    refuse({"web": make_ledger(renamed, State.RETIRED)}, OneTarget(HERE))
    other = {"web": make_ledger(HERE.of_stack(Scope("store", "dev")), State.LIVE)}
    with pytest.raises(SettingsError, match="was renamed") as refused:
        refuse(other, OneTarget(HERE))
    assert "pulumi stack rename organization/store/dev --stack dev" in refused.value.todo
    both = {"web": make_ledger(ELSEWHERE.of_stack(Scope("shop", "old")), State.LIVE)}
    with pytest.raises(SettingsError, match="at another place"):
        refuse(both, OneTarget(HERE))


def test_a_machine_whose_id_changed_still_has_its_servers() -> None:
    """The target is the truth: what it has here is not on another machine. Nothing else is so."""
    old = Location("local", {MACHINE: "0123456789ab", "folder": "/data"}, "anna")
    new = Location("local", {MACHINE: "ffffffffffff", "folder": "/data"}, "anna")
    ledgers = {"web": make_ledger(old, State.LIVE)}
    assert refuse(ledgers, OneTarget(new, ["0"])) == new.of_stack(PLACE.scope)
    for target in (OneTarget(new), OneTarget(new, ["9"])):
        with pytest.raises(SettingsError, match="Run it on anna"):
            refuse(ledgers, target)
    moved = replace(new, words={**new.words, "folder": "/other"})
    with pytest.raises(SettingsError):
        refuse(ledgers, OneTarget(moved, ["0"]))


def test_one_state_on_two_machines_is_refused_on_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the machine's id, with its name; another data folder on the same machine is one more."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    target = load_target("local", {})
    here = target.find_location()
    there = replace(here, words={**here.words, MACHINE: "0123456789ab"}, host="anna")
    with pytest.raises(SettingsError, match=r"local \(host anna, .*machine 0123456789ab\)"):
        refuse_moved(PLACE, target, {"web": make_ledger(there, State.LIVE)})
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/else")
    with pytest.raises(SettingsError, match="folder /somewhere/else/immutable-servers"):
        refuse_moved(PLACE, target, {"web": make_ledger(here, State.LIVE)})
    monkeypatch.setattr(machine, "FILES", ())
    assert MACHINE not in load_target("local", {}).find_location().words
