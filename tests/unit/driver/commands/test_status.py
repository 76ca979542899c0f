"""`status` and `update`: what they make of ledger, target and lock."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from jsonschema import Draft202012Validator

from harness.checkout import ROOT
from immutable_servers.contract.values import Drift, Fleet, Health, Launch, Scope
from immutable_servers.driver.commands.status.collect import ask_health
from immutable_servers.driver.commands.status.drift import find_unbalanced, list_drift
from immutable_servers.driver.commands.status.images import list_locks
from immutable_servers.driver.commands.status.models import (
    SCHEMA_FILE,
    DriftStatus,
    GenerationStatus,
    ImageStatus,
    LockStatus,
    ServerStatus,
    ServiceStatus,
    SourceStatus,
    StackStatus,
    render_schema,
)
from immutable_servers.driver.commands.status.text import render_lines, render_rows
from immutable_servers.driver.commands.update import update_lock
from immutable_servers.identity.upstream_lock import read_lock, write_lock
from immutable_servers.ledger.pin import Pinned
from immutable_servers.ledger.reader import parse_ledgers
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.known import KnownService, ask_service
from immutable_servers.settings import Settings
from immutable_servers.targets.place import Place

if TYPE_CHECKING:
    from immutable_servers.contract.target import Target

ServerKind = Literal["missing", "stopped", "added", "artifact", "group"]
OLD, NEW = "aaaaaaaa", "bbbbbbbb"
SCOPE = Scope("shop", "dev", "web")


class Shelf:
    """A target that says what the test puts into it."""

    name = "shelf"
    architecture = "x86_64"

    def __init__(self) -> None:
        self.there: dict[str, Fleet] = {}
        self.traffic: dict[str, int] = {}
        self.health: Sequence[Health] = ()
        self.upstream: dict[str, Any] = {"release": "one"}

    @property
    def fleets(self) -> SimpleNamespace:
        """Return what was put here."""
        return SimpleNamespace(
            find=lambda _scope: self.there, find_health=lambda _scope: self.health
        )

    @property
    def access(self) -> SimpleNamespace:
        """Know of no login."""
        return SimpleNamespace(find_inspection=lambda _scope: "")

    @property
    def balancer(self) -> SimpleNamespace:
        """Return what was put here."""
        return SimpleNamespace(find_weights=lambda _scope: self.traffic)

    @property
    def images(self) -> SimpleNamespace:
        """Return what was put here."""
        return SimpleNamespace(find_upstream=lambda _settings, _known, _say: self.upstream)


def make_record(generation: str, order: int, state: State) -> dict[str, Any]:
    """Return a record as the ledger holds it."""
    record = Record(
        generation=generation,
        order=order,
        state=state,
        image="app",
        version="0123456789ab",
        images={"app": "0123456789ab"},
        artifact="app/0123456789ab",
        launch=Launch("small", 80, "/healthz").to_plain(),
        shape="",
        servers=2,
        round=0,
        verified={"at": "2026-01-01T00:00:00Z"},
    )
    return record.to_plain()


@pytest.fixture
def shelf() -> Shelf:
    """A shelf with two whole fleets."""
    made = Shelf()
    made.there = {one: Fleet(one, {}, servers=2, whole=True, running=2) for one in (OLD, NEW)}
    return made


def ask(shelf: Shelf, records: Mapping[str, Any]) -> KnownService:
    """Ask the shelf for a service with these records."""
    ledgers = parse_ledgers({"web": {"generations": records, "pin": {}}})
    return ask_service(SCOPE, cast("Target", shelf), ledgers["web"])


def test_status_believes_the_target_and_not_the_ledger(shelf: Shelf) -> None:
    """The state comes from the balancer, the count from the fleet; a retired one is not shown."""
    records = {
        OLD: make_record(OLD, 1, State.STANDBY),
        NEW: make_record(NEW, 2, State.LIVE),
        "cccccccc": make_record("cccccccc", 3, State.RETIRED),
    }
    shelf.traffic = {OLD: 100}
    known = ask(shelf, records)
    states = [(record.generation, record.state) for record in known.existing]
    assert states == [(NEW, State.STANDBY), (OLD, State.LIVE)]
    (moved,) = list_drift(known, (), None)
    assert moved.kind == "traffic"
    assert moved.what == f"the balancer sends 100 % to {OLD}; the ledger has {NEW} live"


@pytest.mark.parametrize(
    ("kind", "state", "then"),
    [
        ("missing", State.LIVE, "makes it again, sealed"),
        ("missing", State.STANDBY, "drops the standby: it is not whole"),
        ("stopped", State.STANDBY, "starts it again"),
        ("added", State.LIVE, "removes it"),
        ("artifact", State.LIVE, "leaves it; `./immutable replace` makes new servers"),
    ],
)
def test_what_was_changed_of_a_server_says_what_comes(
    shelf: Shelf, kind: ServerKind, state: State, then: str
) -> None:
    """By what it is, and by the state of its generation."""
    shelf.traffic = {OLD: 100} if state is State.LIVE else {NEW: 100}
    records = {
        OLD: make_record(OLD, 1, state),
        NEW: make_record(NEW, 2, State.STANDBY if state is State.LIVE else State.LIVE),
    }
    known = ask(shelf, records)
    found = [Drift(OLD, kind, "web-aaaaaaaa-0", "as found")]
    (drift,) = list_drift(known, found, None)
    assert (drift.kind, drift.then) == (kind, then)
    assert drift.what.startswith("server web-aaaaaaaa-0 ")
    assert drift.what.endswith(": as found")


def test_a_generation_without_its_fleet_is_told(shelf: Shelf) -> None:
    """The live one is made again beside; a standby is forgotten; retired ones have none anyway."""
    records = {
        OLD: make_record(OLD, 1, State.STANDBY),
        NEW: make_record(NEW, 2, State.LIVE),
        "cccccccc": make_record("cccccccc", 3, State.RETIRED),
    }
    shelf.there, shelf.traffic = {}, {NEW: 100}
    known = ask(shelf, records)
    found = list_drift(known, (), None)
    assert [(one.kind, one.generation, one.then.partition(":")[0]) for one in found] == [
        ("fleet", OLD, "forgets it"),
        ("fleet", NEW, "makes a new round, verifies it, and moves the traffic"),
    ]


def test_live_servers_that_answer_and_are_not_in_the_group(shelf: Shelf) -> None:
    """The balancer does not run, say; servers that do not answer themselves are no sign of it."""
    shelf.traffic = {NEW: 100}
    del shelf.there[OLD]
    records = {NEW: make_record(NEW, 1, State.LIVE)}
    for answers, kinds in (
        ([Health("one", ok=True, detail="200", serving=False)], ["balancer"]),
        ([Health("one", ok=True, detail="200")], []),
        ([Health("one", ok=False, detail="refused", serving=False)], []),
    ):
        shelf.health = answers
        known = ask(shelf, records)
        (record,) = known.existing
        health = ask_health(Place("shelf", {}, SCOPE), cast("Target", shelf), known)
        found = find_unbalanced(record, health[NEW])
        assert [drift.kind for drift in found] == kinds, answers


def make_status() -> StackStatus:
    """Return a status with one of everything."""
    servers = (
        ServerStatus(name="web-1-0", healthy=True, detail="200 OK", in_group=True),
        ServerStatus(name="web-1-1", healthy=False, detail="refused", in_group=False),
    )
    live = GenerationStatus(
        id=NEW,
        state="live",
        order=2,
        traffic=100,
        images={"app": "0123456789ab"},
        wanted=2,
        running=1,
        whole=True,
        leaving=False,
        servers=servers,
        verified={"at": "2026-01-31T12:00:00Z"},
        left_at=0,
    )
    drift = DriftStatus(
        kind="stopped", generation=NEW, server="web-1-1", what="it stopped", then="starts it again"
    )
    source = SourceStatus(move="nothing", desired=NEW, words=f"generation {NEW} stays")
    service = ServiceStatus(
        name="web",
        address="http://127.0.0.1:8080",
        pin=Pinned(NEW, who="me", at="now", why="errors"),
        generations=(live,),
        drift=(drift,),
        source=source,
    )
    image = ImageStatus(
        image="app",
        version="0123456789ab",
        found=True,
        baked_at="2026-01-31T12:00:00+00:00",
        age=7300,
        generations=(f"web-{NEW}",),
        of_source=True,
    )
    lock = LockStatus(image="base", age=45 * 86400, old=True)
    return StackStatus(
        stack="dev",
        project="shop",
        target="local",
        services=(service,),
        images=(image,),
        locks=(lock,),
        notes=("a note",),
    )


def test_a_status_reads_as_a_table_and_lines() -> None:
    """What a reader is told, in full."""
    status = make_status()
    (row,) = render_rows(status)
    assert row[2:6] == (NEW, "live, pinned", "100 %", "1/2")
    assert list(render_lines(status)) == [
        f"image app 0123456789ab: baked 2 hours ago, in web-{NEW}, the checkout's",
        "lock of base: 45 days old; look for a newer one: ./immutable update base",
        f"web: pinned to {NEW} by me at now: errors",
        f"web: the source: generation {NEW} stays",
        "web: server web-1-1 of the live generation: refused",
        "web: changed by hand: it stopped; the next `up` starts it again",
        "note: a note",
    ]
    (image,) = status.images
    for found, words in ((True, "in the catalog"), (False, "not in the catalog")):
        silent = image.model_copy(update={"found": found, "baked_at": "", "age": None})
        lines = render_lines(status.model_copy(update={"images": (silent,)}))
        assert next(lines) == f"image app 0123456789ab: {words}, in web-{NEW}, the checkout's"


def test_what_differs_is_told_apart() -> None:
    """A sick live server, or anything changed by hand; a standby's health is no alarm."""
    status = make_status()
    assert status.differs
    (web,) = status.services
    calm = web.model_copy(update={"drift": ()})
    assert status.model_copy(update={"services": (calm,)}).differs
    (live,) = calm.generations
    standby = live.model_copy(update={"state": "standby"})
    spare = calm.model_copy(update={"generations": (standby,)})
    assert not status.model_copy(update={"services": (spare,)}).differs


def test_the_schema_in_the_reference_is_that_of_the_models() -> None:
    """`python -m immutable_servers.driver.commands.status` writes it; the data follows it."""
    assert json.loads((ROOT / SCHEMA_FILE).read_text()) == render_schema()
    Draft202012Validator(render_schema()).validate(make_status().model_dump(mode="json"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A base and an app on it."""
    for image in ("base", "app"):
        (tmp_path / "packer" / image).mkdir(parents=True)
    images = {"base": {}, "app": {"parent": "base"}}
    return Settings.model_validate({"target": "local", "images": images, "services": {}})


def test_update_writes_what_the_target_found_and_says_what_changed(
    tmp_path: Path, settings: Settings
) -> None:
    """A second look that finds nothing newer changes no entry; --rebuild raises the counter."""
    shelf = Shelf()
    target = cast("Target", shelf)

    def update(*, rebuild: bool = False) -> list[str]:
        return list(update_lock(tmp_path, "base", settings, target, rebuild=rebuild))

    assert update() == ["release not set -> one"]
    assert update() == []
    shelf.upstream = {"release": "two"}
    assert update() == ["release one -> two"]
    assert update(rebuild=True) == ["rebuild 0 -> 1"]
    assert read_lock(tmp_path / "packer" / "base").entry("shelf", "x86_64") == {
        "release": "two",
        "rebuild": 1,
    }


def test_an_old_lock_is_noted(tmp_path: Path, settings: Settings) -> None:
    """`status` says when nobody has looked outside for a month; a lock without a time is silent."""
    target = cast("Target", Shelf())
    template = tmp_path / "packer" / "base"
    now = datetime.now(UTC)
    assert list_locks(tmp_path, settings, target, now) == ()
    for days, old in ((2, False), (45, True)):
        moment = now - timedelta(days=days)
        write_lock(template, read_lock(template).with_entry("shelf", "x86_64", {}, moment))
        (lock,) = list_locks(tmp_path, settings, target, now)
        assert (lock.age // 86400, lock.old) == (days, old)
