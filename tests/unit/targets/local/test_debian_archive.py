"""Debian's signed release files."""

from pathlib import Path

import pytest

from immutable_servers.errors import ImageError
from immutable_servers.targets.local.debian_archive import read_archives
from immutable_servers.targets.local.upstream import compute_key

RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Suite: stable
Codename: {codename}
Date: {date}
Valid-Until: {date}
SHA256:
 {digest} 100 main/binary-amd64/Packages
-----BEGIN PGP SIGNATURE-----

{signature}
-----END PGP SIGNATURE-----
"""
SATURDAY = "Sat, 21 Nov 2026 09:15:44 UTC"
SUNDAY = "Sun, 22 Nov 2026 09:15:44 UTC"
LOCK = {"suite": "trixie", "release": "sha256:00"}


def write_release(folder: Path, codename: str, **fields: str) -> None:
    filled = {"codename": codename, "date": SATURDAY, "digest": "aa", "signature": "x", **fields}
    file = folder / f"mirror_dists_{codename}_InRelease"
    file.write_text(RELEASE.format(**filled))


def write_archive(folder: Path, **fields: str) -> None:
    write_release(folder, "trixie", **fields)
    write_release(folder, "trixie-updates")
    write_release(folder, "trixie-security")


def test_codename_is_the_main_archives(tmp_path: Path) -> None:
    """Whatever name was asked for, the suite is the codename, and each part has a digest."""
    write_archive(tmp_path)
    archives = read_archives(tmp_path)
    assert archives.suite == "trixie"
    assert sorted(archives.parts) == ["trixie", "trixie-security", "trixie-updates"]
    assert archives.release.startswith("sha256:")


@pytest.mark.parametrize("fields", [{"date": SUNDAY}, {"signature": "y"}])
def test_signing_anew_is_no_change(tmp_path: Path, fields: dict[str, str]) -> None:
    """An archive that was only signed again has the same digest."""
    write_archive(tmp_path)
    before = read_archives(tmp_path)
    write_archive(tmp_path, **fields)
    after = read_archives(tmp_path)
    assert (after.release, after.parts) == (before.release, before.parts)


def test_new_content_is_a_change(tmp_path: Path) -> None:
    """A package list that changed changes the digest of its part and the whole."""
    write_archive(tmp_path)
    before = read_archives(tmp_path)
    write_archive(tmp_path, digest="bb")
    after = read_archives(tmp_path)
    assert after.release != before.release
    assert after.parts["trixie-updates"] == before.parts["trixie-updates"]


def test_each_part_has_the_date_of_its_signature(tmp_path: Path) -> None:
    """In UTC, as the lock has it; a release file without a date is no release file."""
    write_archive(tmp_path, date="Sat, 21 Nov 2026 09:15:44 +0200")
    archives = read_archives(tmp_path)
    assert archives.dates["trixie"] == "2026-11-21T07:15:44+00:00"
    assert archives.to_lock()["signed"]["trixie"] == {
        "date": archives.dates["trixie"],
        "digest": archives.parts["trixie"],
    }
    write_archive(tmp_path, date="soon")
    with pytest.raises(ImageError, match="of trixie does not say when it was signed"):
        read_archives(tmp_path)


def test_mirror_does_not_count(tmp_path: Path) -> None:
    """The same archive from another mirror has the same digest."""
    write_archive(tmp_path)
    before = read_archives(tmp_path)
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / f"another-{file.name}")
    assert read_archives(tmp_path) == before


def test_no_release_file_is_an_error(tmp_path: Path) -> None:
    """Nothing is locked to an archive that was not seen."""
    with pytest.raises(ImageError, match="kept no signed release file"):
        read_archives(tmp_path)


def test_unsigned_answer_is_an_error(tmp_path: Path) -> None:
    """A page that a proxy gave in place of the release file is refused by name."""
    (tmp_path / "mirror_InRelease").write_text("<html>log in</html>")
    with pytest.raises(ImageError, match="mirror_InRelease is not a signed release file"):
        read_archives(tmp_path)


def test_key_follows_the_lock() -> None:
    """Another suite, archive, rebuild or architecture is another disk."""
    key = compute_key(LOCK, "x86_64")
    assert len(key) == 12
    assert compute_key(dict(LOCK), "x86_64") == key
    others: list[dict[str, object]] = [
        {**LOCK, "suite": "sid"},
        {**LOCK, "release": "x"},
        {**LOCK, "rebuild": 1},
    ]
    assert (
        len({key, compute_key(LOCK, "aarch64"), *(compute_key(o, "x86_64") for o in others)}) == 5
    )
