"""The pin of a service, which `rollback` sets and `resume` takes away."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Pinned:
    """Keeps a service at a generation, whatever the source says, until it is resumed.

    Whoever sets `IMMUTABLE_REQUEST` by hand may leave out all but `generation`: None then.

    Attributes:
        who: The user that asked for it.
        at: When, in ISO 8601, UTC.
        left: The generation that was live before; its version in a ledger of an early program.
        again: The generation that the pinned one is another round of.
    """

    generation: str
    who: str | None = None
    at: str | None = None
    why: str | None = None
    left: str | None = None
    again: str | None = None


@dataclass(frozen=True)
class HeldOff:
    """Keeps a generation away after a resume, until source or settings give another one.

    Attributes:
        held: The generation that the rollback left; its version in a ledger of an early program.
        instead: The generation that it went back to; None in a ledger of an early program.
    """

    held: str
    instead: str | None = None


Pin = Pinned | HeldOff


def parse_pin(plain: Mapping[str, Any]) -> Pin | None:
    """Read what `render_pin` returned: None for an empty mapping; unknown keys are left out.

    Raises:
        ValueError: It is not empty, and no pin.
    """
    if not plain:
        return None
    kind = Pinned if "generation" in plain else HeldOff
    known = {item.name: plain[item.name] for item in fields(kind) if item.name in plain}
    if "generation" not in known and "held" not in known:
        raise ValueError("It names neither a generation nor one that is held off")
    wrong = [name for name, value in known.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"{wrong[0]} is not of type str")
    return kind(**known)


def render_pin(pin: Pin | None) -> dict[str, str]:
    """Return a pin as plain values, empty for None; what is not known of it is left out."""
    plain = asdict(pin) if pin else {}
    return {name: value for name, value in plain.items() if value is not None}
