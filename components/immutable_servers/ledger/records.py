"""The record of one generation, and the ledger of a service, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any, Self, get_origin

from immutable_servers.contract.location import Location
from immutable_servers.contract.plain import PlainForm
from immutable_servers.errors import LedgerError
from immutable_servers.ledger.pin import Pin, render_pin

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine stores for an output that depends on what failed.

`UnknownStringValue` in https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/plugin
"""

KEPT_RECORDS = 50
"""Number of records that the ledger of a service keeps."""


class State(StrEnum):
    """The stage of a generation's life."""

    CANDIDATE = "candidate"
    LIVE = "live"
    STANDBY = "standby"
    RETIRED = "retired"


@dataclass(frozen=True)
class Record(PlainForm):
    """All that the ledger keeps of one generation.

    Attributes:
        order: Counts the generations of a service, from 1.
        image: Name of the app image.
        version: Version of that image.
        images: Versions of the image and of its parents, by name.
        artifact: The target's id of the baked image.
        launch: The launch spec's fields.
        shape: Digest of what our code gave the launch template.
        servers: How many servers it has or had.
        round: Which try of the same version, launch spec and shape.
        commit: The git commit of its first launch, empty outside of git.
        checks: Digest of the checks that verified it.
        verified: When and how it was verified, empty when it was not.
        window_ends: When its login window closes, in seconds since the epoch.
        left_at: When traffic left it, or when it was first seen to stand by, in seconds since the
            epoch; 0 while it serves, and before it ever did.
        launched_at: When it was launched, in seconds since the epoch; 0 while that is not known.
        data_version: What the settings named when they last asked for it.
        fault: What its canary or the watch after it found: a candidate that failed under traffic.
            Empty otherwise.
        digest: The image's digest; empty in a record of an early program.
        inspected: Who logged in to its servers before it was verified, as far as is known: it is
            never verified then.
    """

    generation: str
    order: int
    state: State
    image: str
    version: str
    images: dict[str, str]
    artifact: str
    launch: dict[str, Any]
    shape: str
    servers: int
    round: int
    commit: str = ""
    checks: str = ""
    verified: dict[str, str] = field(default_factory=dict)
    window_ends: int = 0
    left_at: int = 0
    launched_at: int = 0
    data_version: str = ""
    fault: str = ""
    digest: str = ""
    inspected: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {**super().to_plain(), "state": str(self.state)}

    @classmethod
    def read(cls, plain: Mapping[str, Any], where: str) -> Self:
        """Read what `to_plain` wrote, at this place of the ledger.

        Raises:
            LedgerError: A field is missing or is not of its kind.
        """
        try:
            record = cls.from_plain({**plain, "state": State(plain["state"])})
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(where, f"{type(error).__name__}: {error}") from error
        for name, kind in _find_kinds().items():
            if not isinstance(getattr(record, name), kind):
                raise unreadable(where, f"{name} is not of type {kind.__name__}")
        return record

    def is_same_make(
        self, version: str, digest: str, launch: Mapping[str, Any], shape: str
    ) -> bool:
        """Return whether it was made from the same image, launch spec and shape.

        An early program's record names no digest: its version decides.
        """
        made = self.version, self.digest or digest, dict(self.launch), self.shape
        return made == (version, digest or self.digest, dict(launch), shape)


@cache
def _find_kinds() -> Mapping[str, Any]:
    """Return what each field of a record must be an instance of, by the field's name."""
    return {item.name: get_origin(item.type) or item.type for item in fields(Record)}


@dataclass(frozen=True)
class ServiceLedger:
    """A service's generations by id, its pin (None when it has none), and its place.

    The place is None before the first run, and in a ledger of an earlier program.
    """

    generations: dict[str, Record] = field(default_factory=dict)
    pin: Pin | None = None
    place: Location | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, as the stack exports them."""
        generations = {key: record.to_plain() for key, record in self.generations.items()}
        return {
            "pin": render_pin(self.pin),
            "place": render_place(self.place),
            "generations": generations,
        }

    def list_kept(self, desired: str) -> list[Record]:
        """Return the other records that the next ledger keeps.

        These are existing ones and those that the pin names, then the newest.
        """
        named = {*render_pin(self.pin).values()}
        others = [record for key, record in self.generations.items() if key != desired]
        others.sort(
            key=lambda record: (
                record.state is State.RETIRED and record.generation not in named,
                -record.order,
            )
        )
        return others[: KEPT_RECORDS - 1]

    @property
    def has_servers(self) -> bool:
        """Whether a generation was not retired by the last run."""
        return any(record.state is not State.RETIRED for record in self.generations.values())

    @property
    def live(self) -> str:
        """The generation that has the traffic, empty when none has."""
        found = (key for key, record in self.generations.items() if record.state is State.LIVE)
        return next(found, "")

    @property
    def last_order(self) -> int:
        """The highest order given so far, 0 when none was."""
        return max((record.order for record in self.generations.values()), default=0)


def render_place(place: Location | None) -> dict[str, Any]:
    """Return a place as plain values, empty for None."""
    return place.to_plain() if place else {}


def unreadable(where: str, fact: str) -> LedgerError:
    """Return the error for a ledger that is not what we wrote."""
    return LedgerError(
        f"The ledger of this stack cannot be read at {where}",
        facts=[fact],
        todo="An unreadable ledger is never taken for an empty one, so nothing was changed. "
        "See what the stack has with `pulumi stack output ledger`; when it was edited by hand, "
        "put back an earlier state with `pulumi stack import`.",
    )
