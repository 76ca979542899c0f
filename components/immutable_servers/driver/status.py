"""`status`: what exists and what serves. The ledger names it, the target is asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from immutable_servers.driver import console
from immutable_servers.driver.outcome import find_error
from immutable_servers.driver.project import read_project, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import ENGINE
from immutable_servers.driver.stack import MISSING, load_stack
from immutable_servers.driver.update import find_old_locks
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger import complete, parse_ledgers
from immutable_servers.records import Record, ServiceLedger, State
from immutable_servers.settings import load_settings
from immutable_servers.targets import load_target
from immutable_servers.targets.contract import Fleet, Scope, Target

COLUMNS = ("service", "address", "generation", "state", "running", "images", "verified")


def show_status(root: Path, name: str) -> int:
    """Print one line for each generation that exists; exit 0 also when none does."""
    values = read_values(root, name)
    install_missing(ENGINE, yes=False)
    outputs = read_outputs(root, name)
    if not outputs:
        console.say(f"The stack {name} holds nothing: ./immutable up {name}")
        return 0
    settings = load_settings(values, root)
    target = load_target(settings.target, settings.target_settings)
    project = str(read_project(root).get("name", ""))
    rows = find_rows(Scope(project, name), target, outputs)
    console.show_table("", COLUMNS, rows)
    for note in find_old_locks(root, settings, target):
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


def find_rows(stack: Scope, target: Target, outputs: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """Return the table's rows: of every service its generations that exist, the newest first."""
    services = outputs.get("services") or {}
    rows: list[Sequence[str]] = []
    for service, ledger in parse_ledgers(outputs.get("ledger")).items():
        scope = replace(stack, service=service)
        fleets = target.find_fleets(scope)
        whole = complete(ledger, fleets, target.find_traffic(scope))
        address = str((services.get(service) or {}).get("address", ""))
        rows += [
            (service, *_render_row(whole, record, fleets[record.generation], address))
            for record in sorted(whole.generations.values(), key=lambda item: -item.order)
            if record.generation in fleets
        ]
    return rows


def _render_row(ledger: ServiceLedger, record: Record, fleet: Fleet, address: str) -> Sequence[str]:
    pinned = " (pinned)" if ledger.pin.get("generation") == record.generation else ""
    return (
        address if record.state is State.LIVE else "",
        record.generation,
        f"{record.state}{pinned}{'' if fleet.whole else ', not whole'}",
        f"{fleet.running}/{fleet.servers}",
        ", ".join(f"{image} {version}" for image, version in record.images.items()),
        record.verified.get("at", record.verified.get("how", "")),
    )
