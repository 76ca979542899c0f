"""Downloads an official release, and checks it against the published checksum."""

import hashlib
import http.client
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import versions
from immutable_servers.errors import SetupError

CONNECT_SECONDS = 5
"""Short, as an unreachable site must not delay the build that replaces the download."""
READ_SECONDS = 30
BLOCK = 1 << 20


class NotServedError(Exception):
    """The maker's site cannot be reached, or does not hold the release."""


@dataclass(frozen=True)
class Release:
    """Where a release lies.

    Attributes:
        sums: URL of the list of SHA-256 sums, as `sha256sum` writes them.
    """

    archive: str
    sums: str

    @property
    def file(self) -> str:
        """The archive's file name."""
        return self.archive.rsplit("/", 1)[1]


def find_pulumi_release() -> Release:
    """Return the release for this machine, language host included."""
    words = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}
    place = "https://get.pulumi.com/releases/sdk"
    name = f"pulumi-v{versions.PULUMI}-{platform.system().lower()}-{_machine(words)}.tar.gz"
    return Release(f"{place}/{name}", f"{place}/pulumi-{versions.PULUMI}-checksums.txt")


def find_packer_release() -> Release:
    """Return the release for this machine."""
    words = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64"}
    place = f"https://releases.hashicorp.com/packer/{versions.PACKER}/packer_{versions.PACKER}"
    return Release(
        f"{place}_{platform.system().lower()}_{_machine(words)}.zip", f"{place}_SHA256SUMS"
    )


def _machine(words: dict[str, str]) -> str:
    machine = platform.machine().lower()
    return words.get(machine, machine)


def fetch_release(release: Release, folder: Path, say: Say) -> None:
    """Download a release into `folder`, check its sum and unpack it there.

    Raises:
        NotServedError: It cannot be had from its maker, with the reason.
        SetupError: What was downloaded has another checksum.
    """
    expected = _find_sum(release)
    archive = folder / release.file
    say(f"downloading {release.archive}")
    actual = _download(release.archive, archive)
    if actual != expected:
        raise SetupError(
            f"The download of {release.file} has another checksum than its maker published",
            facts=[f"SHA-256 {actual}", f"published {expected} in {release.sums}"],
            todo="Try again; when it stays so, something between you and the maker changes it.",
        )
    _unpack(archive, folder)
    archive.unlink()


def _find_sum(release: Release) -> str:
    """Return the published SHA-256 of the archive."""
    text = _read(release.sums)
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].lstrip("*./") == release.file:  # noqa: PLR2004 - sum, file
            return words[0].lower()
    raise NotServedError(f"{release.sums} does not list {release.file}")


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as answer:  # noqa: S310 - https
            return str(answer.read().decode())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotServedError(f"{url}: {_describe(error)}") from error


def _download(url: str, file: Path) -> str:
    """Save a URL and return its SHA-256; remove a download that breaks off."""
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(url, timeout=READ_SECONDS) as answer,  # noqa: S310 - https
            file.open("wb") as out,
        ):
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
