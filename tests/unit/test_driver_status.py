"""`status` and `update`: what they make of ledger, target and lock."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from immutable_servers.driver.status import find_rows
from immutable_servers.driver.update import find_old_locks, update_lock
from immutable_servers.lock import read_lock, write_lock
from immutable_servers.records import Record, State
from immutable_servers.settings import Settings
from immutable_servers.targets.contract import Fleet, Scope, Target


class Shelf:
    """A target that says what the test puts into it."""

    name = "shelf"
    architecture = "x86_64"

    def __init__(self) -> None:
        self.fleets: dict[str, Fleet] = {}
        self.traffic: dict[str, int] = {}
        self.upstream: dict[str, Any] = {"release": "one"}

    def find_fleets(self, _scope: Scope) -> Mapping[str, Fleet]:
        """Return what was put here."""
        return self.fleets

    def find_traffic(self, _scope: Scope) -> Mapping[str, int]:
        """Return what was put here."""
        return self.traffic

    def find_upstream(self, _settings: Mapping[str, Any], _say: object) -> dict[str, Any]:
        """Return what was put here."""
        return self.upstream


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
        launch={},
        shape="",
        servers=2,
        round=0,
        verified={"at": "2026-01-01T00:00:00Z"},
    )
    return record.to_plain()


def test_status_believes_the_target_and_not_the_ledger() -> None:
    """The state comes from the balancer, the count from the fleet; a retired one is not shown."""
    shelf = Shelf()
    old, new = "aaaaaaaa", "bbbbbbbb"
    records = {
        old: make_record(old, 1, State.STANDBY),
        new: make_record(new, 2, State.LIVE),
        "cccccccc": make_record("cccccccc", 3, State.RETIRED),
    }
    shelf.fleets = {
        old: Fleet(old, {}, servers=2, whole=True, running=2),
        new: Fleet(new, {}, servers=2, whole=False, running=1),
    }
    shelf.traffic = {old: 100}
    outputs = {
        "services": {"web": {"address": "http://127.0.0.1:8080"}},
        "ledger": {"web": {"generations": records, "pin": {}}},
    }
    rows = find_rows(Scope("shop", "dev"), cast("Target", shelf), outputs)
    assert [row[2:5] for row in rows] == [
        (new, "standby, not whole", "1/2"),
        (old, "live", "2/2"),
    ]
    assert [row[1] for row in rows] == ["", "http://127.0.0.1:8080"]


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
    """`status` says when nobody has looked outside for a month."""
    target = cast("Target", Shelf())
    template = tmp_path / "packer" / "base"
    assert list(find_old_locks(tmp_path, settings, target)) == []
    for days, notes in ((2, 0), (45, 1)):
        moment = datetime.now(UTC) - timedelta(days=days)
        write_lock(template, read_lock(template).with_entry("shelf", "x86_64", {}, moment))
        assert len(list(find_old_locks(tmp_path, settings, target))) == notes
