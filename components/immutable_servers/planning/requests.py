"""What a run is asked for beside the source, through a variable of its environment.

A pin holds a service at a generation, whatever the source says, until it is resumed: the run writes
it into the ledger, and with the ledger every later run reads it, from any checkout. All else counts
for the one run.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from immutable_servers.errors import SettingsError
from immutable_servers.ledger.records import ServiceLedger

VARIABLE = "IMMUTABLE_REQUEST"
"""JSON of `Request`'s fields."""


@dataclass(frozen=True)
class Request:
    """What a run was asked for, by service.

    Attributes:
        pins: `generation`, `who`, `at`, `why` and `left`; or `held` and the generation `instead`;
            an empty one unpins. A run adds `again`: what the pinned one is another round of.
        again: Why the live generation is to be made again.
        others_stay: Services without a request of their own do not follow the source in this run.
        retire: Generations that are deleted; no service follows the source, nothing else is done.
        given_up: Services that the settings do not name any more, and that go although they serve.
    """

    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    again: dict[str, str] = field(default_factory=dict)
    others_stay: bool = False
    retire: dict[str, list[str]] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)

    def render(self) -> str:
        """Return the variable's value."""
        return json.dumps(asdict(self))

    def is_to_stay(self, service: str) -> bool:
        """Tell whether a service goes on serving what it serves."""
        asked = service in self.pins or service in self.again
        return bool(self.retire) or (self.others_stay and not asked)

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


def release(pin: Mapping[str, str]) -> dict[str, str]:
    """Return what stays of a pin that is resumed: the version left by the rollback is held off."""
    if "held" in pin:
        return dict(pin)
    return {"held": pin["left"], "instead": pin["generation"]} if pin.get("left") else {}
