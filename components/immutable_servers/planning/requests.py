"""Requests to one run beside the source, which a command passes in an environment variable.

A run writes a requested pin into the ledger, so that every later run keeps it, from any checkout.
All else counts for the one run.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import HeldOff, Pin, Pinned, parse_pin, render_pin
from immutable_servers.ledger.records import ServiceLedger

VARIABLE = "IMMUTABLE_REQUEST"
"""JSON of `Request`'s fields."""


@dataclass(frozen=True)
class Request:
    """What a command asks of a run, by service.

    Attributes:
        pins: The pins that replace those of the ledger; None takes one away.
        again: Why the live generation is to be made again.
        others_stay: Services without a request of their own do not follow the source in this run.
        retire: Generations that are deleted; no service follows the source, nothing else is done.
        given_up: Services that are deleted though they serve: the settings name them no more.
    """

    pins: dict[str, Pin | None] = field(default_factory=dict)
    again: dict[str, str] = field(default_factory=dict)
    others_stay: bool = False
    retire: dict[str, list[str]] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)

    def render(self) -> str:
        """Return the variable's value."""
        pins = {name: render_pin(pin) for name, pin in self.pins.items()}
        return json.dumps({**asdict(self), "pins": pins})

    def is_to_stay(self, service: str) -> bool:
        """Return whether a service goes on serving what it serves."""
        asked = service in self.pins or service in self.again
        return bool(self.retire) or (self.others_stay and not asked)

    def apply_to(self, ledgers: Mapping[str, ServiceLedger]) -> dict[str, ServiceLedger]:
        """Return the ledgers with the requested pins in the place of theirs."""
        return {
            name: replace(ledger, pin=self.pins[name]) if name in self.pins else ledger
            for name, ledger in ledgers.items()
        }


def read_request() -> Request:
    """Return the request to this run; without the variable it asks for nothing.

    Raises:
        SettingsError: The variable does not hold what the driver writes.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return Request()
    try:
        found = json.loads(text)
        pins = {str(name): parse_pin(dict(pin)) for name, pin in found.get("pins", {}).items()}
        retire = {str(name): list(going) for name, going in found.get("retire", {}).items()}
        again = dict(found.get("again", {}))
        given_up = [str(name) for name in found.get("given_up", [])]
        return Request(pins, again, found.get("others_stay") is True, retire, given_up)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"The variable {VARIABLE} cannot be read",
            facts=[str(error)],
            todo="Use `./immutable rollback`, `resume`, `replace` and `retire`, which set it.",
        ) from error


def release(pin: Pin) -> HeldOff | None:
    """Return what `resume` leaves of a pin: it holds off the generation that the rollback left."""
    if isinstance(pin, Pinned):
        return HeldOff(pin.left, instead=pin.generation) if pin.left else None
    return pin
