"""Downloads an official release whose checksum this checkout knows.

A list of checksums from the server that gives the archive proves nothing: who changes one changes
both. What is not in `versions.ARCHIVES` is not downloaded but built from its Go module (go.sum).
"""

import hashlib
import http.client
import platform
import shutil
import tarfile
import urllib.error
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import versions
from immutable_servers.errors import SetupError
from immutable_servers.system.downloads import open_https

SECONDS = 10
"""For each step; short, as an unreachable site must not delay the build that replaces it."""
BLOCK = 1 << 20


class NotServedError(Exception):
    """The release's checksum is not known, or its maker's site cannot be reached."""


@dataclass(frozen=True)
class Release:
    """Where a release lies."""

    archive: str

    @property
    def file(self) -> str:
        """The archive's file name."""
        return self.archive.rsplit("/", 1)[1]


def find_pulumi_release() -> Release:
    """Return the release for this machine, language host included."""
    words = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}
    name = f"pulumi-v{versions.PULUMI}-{platform.system().lower()}-{_machine(words)}.tar.gz"
    return Release(f"https://get.pulumi.com/releases/sdk/{name}")


def find_packer_release() -> Release:
    """Return the release for this machine."""
    name = f"packer_{versions.PACKER}_{_find_platform()}.zip"
    return Release(f"https://releases.hashicorp.com/packer/{versions.PACKER}/{name}")


def find_plugin_release(plugin: PackerPlugin) -> Release:
    """Return the release of one of Packer's plugins for this machine."""
    version = f"v{plugin.version}"
    place = f"https://{plugin.package}/releases/download/{version}"
    api = versions.PACKER_PLUGIN_API
    return Release(f"{place}/{plugin.module}_{version}_{api}_{_find_platform()}.zip")


def _find_platform() -> str:
    """Return system and machine in the words of Go's makers."""
    words = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()}_{_machine(words)}"


def _machine(words: dict[str, str]) -> str:
    machine = platform.machine().lower()
    return words.get(machine, machine)


def fetch_release(release: Release, folder: Path, say: Say) -> None:
    """Download a release into `folder`, check its sum and unpack it there.

    Raises:
        NotServedError: It cannot be had from its maker, with the reason.
        SetupError: What was downloaded has another checksum.
    """
    expected = versions.ARCHIVES.get(release.file)
    if expected is None:
        raise NotServedError(f"this checkout knows no checksum of {release.file}")
    archive = folder / release.file
    say(f"downloading {release.archive}")
    actual = _download(release.archive, archive)
    if actual != expected:
        archive.unlink()
        raise SetupError(
            f"The download of {release.file} is not what its maker published",
            facts=[f"SHA-256 {actual}", f"known in this checkout {expected}"],
            todo="Try again; when it stays so, something between you and the maker changes it.",
        )
    _unpack(archive, folder)
    archive.unlink()


def _download(url: str, file: Path) -> str:
    """Save a URL and return its SHA-256; remove a download that breaks off."""
    digest = hashlib.sha256()
    try:
        with open_https(url, SECONDS) as answer, file.open("wb") as out:
            while block := answer.read(BLOCK):
                digest.update(block)
                out.write(block)
    except (OSError, http.client.HTTPException) as error:
        file.unlink(missing_ok=True)
        raise NotServedError(f"{url}: {_describe(error)}") from error
    return digest.hexdigest()


def _describe(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason)


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)  # noqa: S202 - its checksum was checked
    else:
        with tarfile.open(archive) as packed:
            # Python 3.11.2, which is Debian 12's, has no filters yet (PEP 706).
            safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            packed.extractall(folder, **safe)  # noqa: S202 - its checksum was checked
    # Pulumi's archive holds a folder `pulumi`; its files belong at the top.
    inner = folder / "pulumi"
    if inner.is_dir():
        inner = inner.rename(folder / "unpacked")
        for file in inner.iterdir():
            shutil.move(file, folder / file.name)
        inner.rmdir()
    for file in folder.iterdir():
        file.chmod(0o755)
