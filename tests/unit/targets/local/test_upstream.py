"""Which archive a lock is made from, and a base is baked from."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.errors import ImageError
from immutable_servers.targets.local import upstream
from immutable_servers.targets.local.checksums import write_checksums

RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Suite: {name}
Codename: {part}
Date: {date}
SHA256:
 {content} 100 main/binary-amd64/Packages
-----BEGIN PGP SIGNATURE-----
"""
DATES = {day: f"{day:02} Nov 2026 09:00:00 UTC" for day in range(1, 29)}
ENDINGS = ("", "-updates", "-security")

Archive = Mapping[str, tuple[str, int, str]]
"""By part: what it calls itself, the day of its signature, its content."""


def make_archive(day: int, content: str, codename: str = "trixie", name: str = "stable") -> Archive:
    """Return an archive whose three parts were signed on one day."""
    return {f"{codename}{end}": (f"{name}{end}", day, content) for end in ENDINGS}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have mmdebstrap give the archive that a mirror serves for each name."""

    def start(**served: Archive) -> None:
        def run(options: Sequence[str], suite: str, *_: object, **__: object) -> None:
            (hook,) = [word for word in options if "sync-out" in word]
            folder = Path(hook.rpartition(" ")[2])
            if "/artifact" in hook:
                for name in upstream.FILES[:3]:
                    (folder / name).write_text(suite)
                folder /= "archives"
                folder.mkdir()
            for part, (name, day, content) in served[suite].items():
                text = RELEASE.format(name=name, part=part, date=DATES[day], content=content)
                (folder / f"mirror_{part}_InRelease").write_text(text)

        monkeypatch.setattr(upstream, "run_mmdebstrap", run)

    return start


def look(suite: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lock's new entry."""
    return upstream.find_upstream(suite, "x86_64", known, lambda _line: None)


def provide(root: Path, lock: Mapping[str, Any]) -> upstream.Upstream:
    """Make the upstream disk of a lock's entry."""
    (root / "log").mkdir(parents=True, exist_ok=True)
    return upstream.provide_upstream(
        root, lock, "x86_64", log=root / "log" / "x", deadline=9, say=lambda _line: None
    )


def test_an_entry_has_the_dates_of_what_it_saw(serve: Callable[..., None]) -> None:
    """Suite, digest, and by part when it was signed."""
    serve(trixie=make_archive(20, "a"))
    entry = look("trixie", {})
    assert entry["suite"] == "trixie"
    dates = {part: signed["date"] for part, signed in entry["signed"].items()}
    assert dates == dict.fromkeys((f"trixie{end}" for end in ENDINGS), "2026-11-20T09:00:00+00:00")


def test_an_archive_that_was_only_signed_anew_changes_no_entry(
    serve: Callable[..., None],
) -> None:
    """Nothing would be baked anew for it; so it is with a lock that has no dates yet."""
    serve(trixie=make_archive(20, "a"))
    entry = look("trixie", {})
    old = {"suite": entry["suite"], "release": entry["release"]}
    for day in (21, 19):
        serve(trixie=make_archive(day, "a"))
        assert look("trixie", entry) == entry
        assert look("trixie", old) == old


@pytest.mark.parametrize("part", [f"trixie{end}" for end in ENDINGS])
def test_a_replayed_archive_is_neither_locked_nor_baked_from(
    serve: Callable[..., None], tmp_path: Path, part: str
) -> None:
    """Each part is held to its own date; nothing is left of what was made."""
    serve(trixie=make_archive(20, "a"))
    entry = look("trixie", {})
    replayed = {**make_archive(21, "b"), part: ("stable", 19, "old")}
    serve(trixie=replayed)
    for ask in (lambda: look("trixie", entry), lambda: provide(tmp_path, entry)):
        with pytest.raises(ImageError, match="The Debian archive is older than the lock") as caught:
            ask()
        assert list(caught.value.facts) == [
            f"{part}: signed 2026-11-19T09:00:00+00:00, locked 2026-11-20T09:00:00+00:00"
        ]
    shutil.rmtree(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_archive_and_a_mirror_that_signs_late_are_used(
    serve: Callable[..., None], tmp_path: Path
) -> None:
    """A part with the locked content may be signed earlier; new content is used and said."""
    serve(trixie=make_archive(20, "a"))
    entry = look("trixie", {})
    serve(trixie={**make_archive(21, "b"), "trixie": ("stable", 19, "a")})
    assert provide(tmp_path, entry).newer
    assert look("trixie", entry)["signed"]["trixie-security"]["date"].startswith("2026-11-21")


def test_a_lock_without_dates_is_used_as_before(serve: Callable[..., None], tmp_path: Path) -> None:
    """One of an earlier version knows no dates; its disk is the same, and so is its version."""
    serve(trixie=make_archive(1, "a"))
    assert provide(tmp_path, {"suite": "trixie", "release": "sha256:0"}).newer


def test_a_disk_of_an_earlier_version_is_read(serve: Callable[..., None], tmp_path: Path) -> None:
    """Its record of the archives has no dates."""
    serve(trixie=make_archive(20, "a"))
    lock = look("trixie", {})
    made = provide(tmp_path, lock)
    record = made.folder / "archives.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({name: kept[name] for name in ("suite", "release", "parts")}))
    write_checksums(made.folder, upstream.FILES)
    assert provide(tmp_path, lock) == made


def test_an_alias_is_what_the_release_calls_itself(serve: Callable[..., None]) -> None:
    """An old file of the alias names a release that is not it any more: that is refused."""
    present = make_archive(20, "a")
    former = make_archive(20, "b", "bookworm", "oldstable")
    serve(stable=present, trixie=present)
    assert look("stable", {})["suite"] == "trixie"
    serve(stable=make_archive(1, "c", "bookworm"), bookworm=former)
    with pytest.raises(ImageError, match="bookworm is not Debian's stable any more") as caught:
        look("stable", {})
    assert "bookworm-security calls itself oldstable-security" in caught.value.facts
    serve(oldstable=former, bookworm=former)
    assert look("oldstable", {})["suite"] == "bookworm"
