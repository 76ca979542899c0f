"""Pins: a service held at a generation, whatever the source says, until it is resumed.

The driver's `rollback` and `resume` ask for a pin through a variable of the run. The run writes it
into the ledger, and with the ledger every later run reads it, from any checkout.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from immutable_servers.errors import SettingsError
from immutable_servers.records import ServiceLedger

VARIABLE = "IMMUTABLE_REQUEST"
"""JSON of `Request`'s fields."""


@dataclass(frozen=True)
class Request:
    """What a run was asked for, by service.

    Attributes:
        pins: `generation`, `who`, `at`, `why` and `left`; or `held`; an empty one unpins.
        again: Why the live generation is to be made again.
    """

    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    again: dict[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """Return the variable's value."""
        return json.dumps(asdict(self))

    def apply_to(self, ledgers: Mapping[str, ServiceLedger]) -> dict[str, ServiceLedger]:
        """Return the ledgers with the requested pins in the place of theirs."""
        return {
            name: replace(ledger, pin=self.pins[name]) if name in self.pins else ledger
            for name, ledger in ledgers.items()
        }


def read_request() -> Request:
    """Return what this run was asked for; nothing without the variable.

    Raises:
        SettingsError: The variable does not hold what the driver writes.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return Request()
    try:
        found = json.loads(text)
        pins = {str(name): dict(pin) for name, pin in found.get("pins", {}).items()}
        return Request(pins, dict(found.get("again", {})))
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"The variable {VARIABLE} cannot be read",
            facts=[str(error)],
            todo="Use `./immutable rollback`, `resume` and `replace`, which set it.",
        ) from error


def release(pin: Mapping[str, str]) -> dict[str, str]:
    """Return what stays of a pin that is resumed: the version left by the rollback is held off."""
    return {"held": pin["left"]} if pin.get("left") else {}
