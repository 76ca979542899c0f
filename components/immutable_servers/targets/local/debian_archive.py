"""Reads a Debian archive's signed release files: what was there, as digests that can be compared.

https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

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
        dates: When each part was signed (ISO 8601, UTC).
        names: What each part calls itself at that time, such as `stable-security`.
    """

    suite: str
    release: str
    parts: Mapping[str, str]
    dates: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def to_lock(self) -> dict[str, Any]:
        """Return the lock's entry."""
        signed = {
            part: {"date": self.dates[part], "digest": digest}
            for part, digest in self.parts.items()
        }
        return {"suite": self.suite, "release": self.release, "signed": signed}

    def refuse_older(self, lock: Mapping[str, Any]) -> None:
        """Raise when a part is older than a lock's entry knows it; one without dates knows none.

        A signature stays valid, so an old archive can be given again, with its old packages. A
        mirror that has the same content as was locked, signed earlier, is no older.

        Raises:
            ImageError: With the dates of each such part.
        """
        older = [
            f"{part}: signed {self.dates[part]}, locked {held['date']}"
            for part, held in lock.get("signed", {}).items()
            if self.parts.get(part, held["digest"]) != held["digest"]
            and self.dates[part] < held["date"]
        ]
        if older:
            raise ImageError(
                "The Debian archive is older than the lock",
                facts=older,
                todo="Wait until the mirror has caught up, or use another one; an old archive that"
                " is given for the present one holds packages with known faults.",
            )

    def refuse_other_name(self, alias: str) -> None:
        """Raise when the archive does not call itself by the alias that led to it.

        Which release is meant was read from files that may be old; these are not.

        Raises:
            ImageError: With what each part calls itself.
        """
        wrong = [
            f"{part} calls itself {name}"
            for part, name in self.names.items()
            if name.partition("-")[0] != alias
        ]
        if wrong:
            raise ImageError(
                f"{self.suite} is not Debian's {alias} any more",
                facts=wrong,
                todo="Run the command again; when it stays, use another mirror, or name the release"
                " itself as the image's upstream.",
            )


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
    read = {field["Codename"]: (text, field) for text, field in zip(texts, fields, strict=True)}
    parts = {name: digest_release(read[name][0]) for name in sorted(read)}
    return Archives(
        min(parts, key=len),
        _digest("\n".join(parts.values())),
        parts,
        {name: _read_date(read[name][1]) for name in parts},
        {name: read[name][1].get("Suite", "") for name in parts},
    )


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


def _read_date(fields: Mapping[str, str]) -> str:
    """Return when a release was signed.

    Raises:
        ImageError: It does not say.
    """
    try:
        return parsedate_to_datetime(fields.get("Date", "")).astimezone(UTC).isoformat()
    except ValueError as error:
        raise ImageError(
            f"The release file of {fields['Codename']} does not say when it was signed",
            facts=[f"Date: {fields.get('Date', 'missing')}"],
            todo="Use another mirror: Debian's own release files have a date.",
        ) from error


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
