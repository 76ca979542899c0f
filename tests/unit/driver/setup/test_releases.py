"""A maker's release: fetched and checked, or not served."""

import hashlib
import http.client
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.driver.setup import (
    go,
    packer,
    pulumi,
    releases,
)
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.errors import SetupError


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Answer downloads from a table; what is not in it cannot be reached."""

    def answer(url: str, timeout: float) -> io.BytesIO:
        assert url.startswith("https://")
        assert timeout > 0
        if url not in files:
            raise OSError("no route to host")
        return io.BytesIO(files[url])

    monkeypatch.setattr("urllib.request.urlopen", answer)


def pack_tar(name: str) -> bytes:
    """Return an archive with one file in a folder, as Pulumi's maker packs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"pulumi/{name}")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"tool"))
    return packed.getvalue()


def pack_zip(name: str) -> bytes:
    """Return an archive with one file, as Packer's maker packs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"tool")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("find", "pack", "name"),
    [
        (releases.find_pulumi_release, pack_tar, "pulumi"),
        (releases.find_packer_release, pack_zip, "packer"),
    ],
)
def test_an_official_release_is_checked_and_unpacked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    find: Callable[[], releases.Release],
    pack: Callable[[str], bytes],
    name: str,
) -> None:
    """What has the published sum is unpacked with its tool executable at the top."""
    release, content = find(), pack(name)
    sums = f"{hashlib.sha256(content).hexdigest()}  {release.file}\n"
    serve(monkeypatch, {release.archive: content, release.sums: sums.encode()})
    releases.fetch_release(release, tmp_path, lambda _line: None)
    assert (tmp_path / name).read_bytes() == b"tool"
    assert os.access(tmp_path / name, os.X_OK)
    assert not (tmp_path / release.file).exists()


def test_a_release_with_another_sum_stops_the_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed download is an error, and no reason to take another way."""
    release = releases.find_packer_release()
    sums = f"{'0' * 64}  {release.file}\n".encode()
    serve(monkeypatch, {release.archive: pack_zip("packer"), release.sums: sums})
    with pytest.raises(SetupError, match="another checksum"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert not (tmp_path / "packer").exists()


def test_an_unreachable_maker_leads_to_a_build_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No release, so the Go module is built, with the version the Automation API reads."""
    serve(monkeypatch, {})
    built: list[tuple[str, str]] = []

    def build(module: str, _package: str, out: Path, _say: object, linking: str = "") -> None:
        built.append((module, linking))
        out.write_text("tool")

    monkeypatch.setattr(go, "build", build)
    said: list[str] = []
    pulumi.CLI.install(said.append)
    packer.TOOL.install(said.append)
    assert [module for module, _ in built] == ["pulumi", "packer"]
    assert built[0][1].endswith(f"version.Version=v{pinned.PULUMI}")
    assert all("no route to host" in line and "Go module" in line for line in said)
    assert packer.TOOL.find()


def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not served, so that the tool is built, without half an archive beside it."""

    class Breaking(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise http.client.IncompleteRead(b"half")

    release = releases.find_packer_release()
    sums = io.BytesIO(f"{'0' * 64}  {release.file}\n".encode())
    answers = {release.sums: sums, release.archive: Breaking()}
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: answers[url])  # noqa: ARG005 - as it is called
    with pytest.raises(releases.NotServedError, match="IncompleteRead"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert not (tmp_path / release.file).exists()


def test_a_list_without_the_archive_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that a proxy puts in place of the sums is no list of sums."""
    release = releases.find_packer_release()
    serve(monkeypatch, {release.sums: b"<html>please log in</html>"})
    with pytest.raises(releases.NotServedError, match="does not list"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
