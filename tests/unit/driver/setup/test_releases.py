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

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.driver.setup import (
    go,
    packer,
    pulumi,
    releases,
)
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.errors import SetupError


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, io.BytesIO]) -> None:
    """Answer downloads from a table; what is not in it cannot be reached."""

    def answer(url: str, seconds: float) -> io.BytesIO:
        assert seconds > 0
        if url not in files:
            raise OSError("no route to host")
        return files[url]

    monkeypatch.setattr(releases, "open_https", answer)


def know(monkeypatch: pytest.MonkeyPatch, release: releases.Release, content: bytes) -> None:
    """Have the checkout know a release's checksum."""
    monkeypatch.setattr(pinned, "ARCHIVES", {release.file: hashlib.sha256(content).hexdigest()})


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
    """What has the known sum is unpacked with its tool executable at the top."""
    release, content = find(), pack(name)
    know(monkeypatch, release, content)
    serve(monkeypatch, {release.archive: io.BytesIO(content)})
    releases.fetch_release(release, tmp_path, lambda _line: None)
    assert (tmp_path / name).read_bytes() == b"tool"
    assert os.access(tmp_path / name, os.X_OK)
    assert not (tmp_path / release.file).exists()


def test_a_release_with_another_sum_stops_the_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed download is an error, and no reason to take another way.

    The maker's own list of sums is not asked: who changes the archive there changes that too.
    """
    release = releases.find_packer_release()
    know(monkeypatch, release, pack_zip("packer"))
    serve(monkeypatch, {release.archive: io.BytesIO(pack_zip("evil"))})
    with pytest.raises(SetupError, match="is not what its maker published"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert list(tmp_path.glob("*packer*")) == list(tmp_path.glob("evil")) == []


def test_an_archive_whose_checksum_is_not_known_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked for it; the tool is built from its Go module, which go.sum pins."""
    monkeypatch.setattr(pinned, "ARCHIVES", {})
    monkeypatch.setattr(releases, "open_https", lambda *_: pytest.fail("it was downloaded"))
    for release in (
        releases.find_pulumi_release(),
        releases.find_packer_release(),
        releases.find_plugin_release(PackerPlugin("qemu", "1.0.9")),
    ):
        with pytest.raises(releases.NotServedError, match=f"no checksum of {release.file}"):
            releases.fetch_release(release, tmp_path, lambda _line: None)


def test_an_unreachable_maker_leads_to_a_build_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No release, so the Go module is built, with the version the Automation API reads."""
    known = (releases.find_pulumi_release(), releases.find_packer_release())
    monkeypatch.setattr(pinned, "ARCHIVES", {release.file: "0" * 64 for release in known})
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
    reasons = [line for line in said if "Go module" in line]
    assert len(reasons) == 2
    assert all("no route to host" in line for line in reasons)
    assert packer.TOOL.find()


def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not served, so that the tool is built, without half an archive beside it."""

    class Breaking(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise http.client.IncompleteRead(b"half")

    release = releases.find_packer_release()
    know(monkeypatch, release, b"half")
    serve(monkeypatch, {release.archive: Breaking()})
    with pytest.raises(releases.NotServedError, match="IncompleteRead"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert not (tmp_path / release.file).exists()


@pytest.mark.parametrize("owner", ["hashicorp", "digitalocean"])
def test_a_plugin_is_fetched_or_built_and_handed_to_packer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """Packer itself looks for nothing; a plugin whose checksum is known needs no Go.

    Release, Go module and Packer's folder are those of the plugin's owner.
    """
    tools = tmp_path / "bin"
    (tools / "packer").write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo 1.15.0 && exit\necho "$*" >> {tmp_path}/asked\n'
    )
    (tools / "packer").chmod(0o755)
    plugin = PackerPlugin("some", "1.0.9", owner)

    def build(module: str, package: str, out: Path, _say: object, linking: str) -> None:
        assert package == f"github.com/{owner}/{module}"
        assert linking == f"-X {package}/version.VersionPrerelease="
        out.write_text("built")

    monkeypatch.setattr(go, "build", build)
    packer.install_plugin(plugin, lambda _line: None)
    release = releases.find_plugin_release(plugin)
    assert release.archive.startswith(f"https://github.com/{owner}/packer-plugin-some/")
    content = pack_zip(release.file.removesuffix(".zip"))
    know(monkeypatch, release, content)
    serve(monkeypatch, {release.archive: io.BytesIO(content)})
    packer.install_plugin(plugin, lambda _line: None)
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    assert [words[:3] for words in asked] == [["plugins", "install", "--path"]] * 2
    assert [Path(words[3]).name for words in asked] == [
        "packer-plugin-some",
        release.file.removesuffix(".zip"),
    ]
    assert [words[4] for words in asked] == [f"github.com/{owner}/some"] * 2
