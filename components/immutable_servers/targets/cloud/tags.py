"""Names and tags things in an account that other stacks use too.

Names are never random and never shared by two stacks: they carry a digest over the whole scope,
because clouds shorten them. Tags carry the scope itself.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import LaunchError, LedgerError, SettingsError

SCOPE = ("project", "stack", "service", "generation")
"""The tags that say whose a thing is, in the order of `Scope`'s fields."""
OWNER = "owner-"
"""How tags begin that hold the owner of a stack. No program declares them, so that they can differ
from one checkout to the next without a change of the stack."""
BESIDE_ENV = 8
"""Tags that the rest of a record takes at most."""
MOST_OWNER = 20
"""An owner takes two or three tags; clouds let a thing have 50 or so."""


def digest_scope(scope: Scope) -> str:
    """Return hexadecimal digits that no other scope has, also when joined names are alike."""
    whole = json.dumps([getattr(scope, word) for word in SCOPE])
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


def of_service(scope: Scope) -> Scope:
    """Return the scope of a generation's service."""
    return replace(scope, generation="")


def name_things(scope: Scope, stack: str) -> str:
    """Return the name of a generation's things, of a service's, or of what a stack has once.

    Args:
        scope: Whose they are.
        stack: How the name of what a stack has once begins, such as `lb`.
    """
    if scope.service:
        parts = [scope.service, scope.generation, digest_scope(scope)]
        return "-".join(filter(None, parts))
    parts = [stack, clean(scope.project, 9), clean(scope.stack, 10), digest_scope(scope)]
    return "-".join(parts).lower()


def clean(text: str, most: int) -> str:
    """Return a part of a name: at most `most` letters, digits and hyphens, and never none."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text)[:most].strip("-") or "x"


@dataclass(frozen=True)
class Tagging:
    """Writes and reads tags as a cloud takes them.

    Attributes:
        prefix: Begins every key of ours.
        longest: Characters that a value may have.
        lower: Values take lower case letters and digits only, so that base32 replaces base64.
    """

    prefix: str
    longest: int
    lower: bool = False

    def write(self, words: Mapping[str, str]) -> dict[str, str]:
        """Return tags for values by our own words, empty values left out."""
        return {f"{self.prefix}{word}": value for word, value in words.items() if value}

    def read(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return what `write` wrote among the tags of others."""
        size = len(self.prefix)
        return {key[size:]: tags[key] for key in tags if key.startswith(self.prefix)}

    def write_scope(self, scope: Scope) -> dict[str, str]:
        """Return the tags that say whose a thing is."""
        return self.write({word: getattr(scope, word) for word in SCOPE})

    def read_scope(self, tags: Mapping[str, str]) -> Scope:
        """Return whose a thing is, with empty fields where its tags do not say it."""
        words = self.read(tags)
        return Scope(*(words.get(word, "") for word in SCOPE))

    def pack(self, word: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Return plain values as tags `<word>00` and on: compressed, cut to a value's length."""
        text = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        data = zlib.compress(text, 9)
        packed = base64.b64encode(data).decode()
        if self.lower:
            packed = base64.b32encode(data).decode().lower().rstrip("=")
        parts = [packed[at : at + self.longest] for at in range(0, len(packed), self.longest)]
        return self.write({f"{word}{number:02}": part for number, part in enumerate(parts)})

    def unpack(self, word: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return what `pack` wrote among other tags.

        Raises:
            ValueError: It is missing or damaged.
        """
        words = self.read(tags)
        packed = "".join(words[name] for name in sorted(words) if name.startswith(word))
        try:
            if self.lower:
                data = base64.b32decode(packed.upper() + "=" * (-len(packed) % 8))
            else:
                data = base64.b64decode(packed)
            found: dict[str, Any] = json.loads(zlib.decompress(data))
        except zlib.error as error:
            raise ValueError(str(error)) from error
        return found


@dataclass(frozen=True)
class Records:
    """Generations' records, in `most` tags of their fleets at most."""

    tagging: Tagging
    most: int

    def render(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Return the tags that hold a record.

        Raises:
            LaunchError: It is too large.
        """
        tags = self.tagging.pack("record-", record)
        if len(tags) > self.most:
            raise LaunchError(
                "The record of the generation does not fit into the tags of its group",
                facts=[f"{len(tags)} tags, at most {self.most} are free"],
                todo="Make `env` and `launch_overrides` of the service smaller.",
            )
        return tags

    def check_env(self, env: Mapping[str, str]) -> None:
        """Refuse an `env` that leaves no room for the rest of a record.

        Raises:
            SettingsError: It does.
        """
        count, room = len(self.tagging.pack("record-", env)), self.most - BESIDE_ENV
        if count > room:
            raise SettingsError(
                "The record of the generation cannot carry this env",
                facts=[f"{count} tags of a record, at most {room}"],
            )

    def parse(self, tags: Mapping[str, str], where: str) -> dict[str, Any]:
        """Return the record that `render` wrote among a fleet's tags.

        Raises:
            LedgerError: It is missing or damaged: unreadable is never empty.
        """
        try:
            return self.tagging.unpack("record-", tags)
        except ValueError as error:
            raise LedgerError(
                f"The record in the tags of the group {where} cannot be read",
                facts=[str(error) or type(error).__name__],
                todo=f"Put back the tags {self.tagging.prefix}record-00 and on, or delete the group"
                " by hand if it is not needed, then run again.",
            ) from error


def pack_owner(tagging: Tagging, owner: Owner) -> dict[str, str]:
    """Return an owner as tags; none when its paths are too long, which stops nobody's work."""
    packed = tagging.pack(OWNER, asdict(owner))
    return packed if len(packed) <= MOST_OWNER else {}


def unpack_owner(tagging: Tagging, tags: Mapping[str, str]) -> Owner | None:
    """Return the owner among a thing's tags; None when nobody wrote it, or it cannot be read."""
    try:
        return Owner.from_plain(tagging.unpack(OWNER, tags))
    except (ValueError, TypeError):
        return None
