import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from immutable_servers.errors import SettingsError
from immutable_servers.identity.upstream_lock import LOCK_FILE, Lock, read_lock, write_lock

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENTRY = {"suite": "trixie", "release": "sha256:00"}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "packer" / "base"
    folder.mkdir(parents=True)
    return folder


def test_comes_back_as_written(template: Path) -> None:
    """A written lock is read as it was, and nothing else is left in the folder."""
    lock = read_lock(template).with_entry("local", "x86_64", ENTRY, NOW)
    write_lock(template, lock)
    assert read_lock(template) == lock
    assert [file.name for file in template.iterdir()] == [LOCK_FILE]


def test_file_has_a_stable_text(template: Path) -> None:
    """Equal locks are equal files, so that a diff shows what moved."""
    write_lock(template, Lock().with_entry("local", "x86_64", ENTRY, NOW))
    assert json.loads((template / LOCK_FILE).read_text()) == {
        "rebuild": 0,
        "entries": {"local": {"x86_64": ENTRY}},
        "updated": {"local": {"x86_64": "2026-01-31T12:00:00Z"}},
    }
    assert (template / LOCK_FILE).read_text().endswith("}\n")


def test_entry_has_the_counter_and_not_the_time(template: Path) -> None:
    """What counts in a version: the entry and the rebuild counter, whenever it was written."""
    lock = read_lock(template).with_entry("local", "x86_64", ENTRY, NOW).with_rebuild()
    later = lock.with_entry("local", "x86_64", ENTRY, NOW + timedelta(days=1))
    assert lock.entry("local", "x86_64") == {**ENTRY, "rebuild": 1}
    assert later.entry("local", "x86_64") == lock.entry("local", "x86_64")


def test_knows_its_age(template: Path) -> None:
    """The lock's age is known for each target and architecture."""
    lock = read_lock(template).with_entry("local", "x86_64", ENTRY, NOW)
    assert lock.age("local", "x86_64", NOW + timedelta(days=9)) == timedelta(days=9)
    assert lock.age("aws", "x86_64", NOW) is None


def test_missing_entry_says_what_to_run(template: Path) -> None:
    """Without an entry the error names the command that writes it."""
    said = r"Run \./immutable update base --stack STACK, with the name of this stack on aws, and"
    with pytest.raises(SettingsError, match=said):
        read_lock(template).entry("aws", "x86_64")


@pytest.mark.parametrize(
    "text", ["", "<<<<<<< ours\n", "[]", '{"rebuild": -1}', '{"rebuild": "1"}', '{"entry": {}}']
)
def test_unreadable_is_never_empty(template: Path, text: str) -> None:
    """A damaged lock stops the run; it is not taken for a missing one."""
    (template / LOCK_FILE).write_text(text)
    with pytest.raises(SettingsError, match=r"packer/base/upstream\.lock\.json is not a lock"):
        read_lock(template)
