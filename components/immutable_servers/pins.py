"""Pins: a service held at a generation, whatever the source says, until it is resumed.

The driver's `rollback` and `resume` ask for a pin through a variable of the run. The run writes it
into the ledger, and with the ledger every later run reads it, from any checkout.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace

from immutable_servers.errors import SettingsError
from immutable_servers.records import ServiceLedger

VARIABLE = "IMMUTABLE_PINS"
"""JSON of service to pin: `generation`, `who`, `at`, `why`, `left`; or `held`; empty unpins."""


def read_requests() -> dict[str, dict[str, str]]:
    """Return the pins that this run was asked to write.

    Raises:
        SettingsError: The variable does not hold what the driver writes.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return {}
    try:
        found = json.loads(text)
        return {str(name): {str(k): str(v) for k, v in pin.items()} for name, pin in found.items()}
    except (ValueError, AttributeError) as error:
        raise SettingsError(
            f"The variable {VARIABLE} cannot be read",
            facts=[str(error)],
            todo="Use `./immutable rollback` and `./immutable resume`, which set it.",
        ) from error


def apply_requests(
    ledgers: Mapping[str, ServiceLedger], requests: Mapping[str, Mapping[str, str]]
) -> dict[str, ServiceLedger]:
    """Return the ledgers with the requested pins in the place of theirs."""
    return {
        name: replace(ledger, pin=dict(requests[name])) if name in requests else ledger
        for name, ledger in ledgers.items()
    }


def release(pin: Mapping[str, str]) -> dict[str, str]:
    """Return what stays of a pin that is resumed: the version left by the rollback is held off."""
    return {"held": pin["left"]} if pin.get("left") else {}
