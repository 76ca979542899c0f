"""Reads a Debian archive's signed release files: what was there, as digests that can be compared.

https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.errors import ImageError

FILES = "*_InRelease"
_SIGNED = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash: .*\n)*\n(.*?)\n-----BEGIN PGP SIGNATURE-----",
    re.DOTALL,
)
_TIMES = ("Date:", "Valid-Until:")
"""The archive is signed anew every few hours; without these lines only new content shows."""


@dataclass(frozen=True)
class Archives:
    """What a Debian release consisted of when it was looked at.

    Attributes:
        suite: The codename, such as `trixie`, whatever name was asked for.
        release: One digest over all of them, as the lock has it.
        parts: Digest by part: `trixie`, `trixie-updates`, `trixie-security`.
    """

    suite: str
    release: str
    parts: Mapping[str, str]


def read_archives(folder: Path) -> Archives:
    """Read the release files that apt has verified and kept in a folder.

    Raises:
        ImageError: There is none, or one is not a signed release file.
    """
    texts = [_read_signed(file) for file in sorted(folder.glob(FILES))]
    fields = [_read_fields(text) for text in texts]
    if not texts:
        raise ImageError(
            "apt kept no signed release file of the Debian archive",
            facts=[f"There is no {FILES} in what mmdebstrap gave."],
            todo="Run the command again; when it stays, look at the log of mmdebstrap.",
        )
    # The main archive's codename is the shortest: `trixie`, beside `trixie-updates`.
    names = [field["Codename"] for field in fields]
    parts = {name: digest_release(text) for name, text in sorted(zip(names, texts, strict=True))}
    return Archives(min(names, key=len), _digest("\n".join(parts.values())), parts)


def digest_release(signed: str) -> str:
    """Return the digest of a release file's signed text, the times of its signing left out."""
    lines = [line for line in signed.splitlines() if not line.startswith(_TIMES)]
    return _digest("\n".join(lines))


def _read_signed(file: Path) -> str:
    found = _SIGNED.search(file.read_text(encoding="utf-8"))
    if found is None or "\nCodename: " not in found[1]:
        raise ImageError(
            f"{file.name} is not a signed release file of a Debian archive",
            facts=["It has no signed text with a Codename."],
            todo="Run the command again; a proxy on the way may have answered in its place.",
        )
    return found[1]


def _read_fields(signed: str) -> dict[str, str]:
    lines = (line.partition(": ") for line in signed.splitlines())
    return {name: value for name, separator, value in lines if separator}


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
