"""Reads how long earlier updates took, from the event logs of runs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from immutable_servers.driver.commands.preview.models import PastUpdate
from immutable_servers.system.places import PROJECT_FOLDER

SHOWN = 3
RELEASE = ":Release::"
"""Part of a release's URN; a release is made with each generation."""
MADE = ("create", "create-replacement")


def find_past_updates(root: Path, stack: str) -> dict[str, tuple[PastUpdate, ...]]:
    """Return by service the last updates that made a generation of it, the newest first."""
    found: dict[str, list[PastUpdate]] = {}
    logs = (root / PROJECT_FOLDER / "logs").glob(f"run-*-up-{stack}.jsonl")
    for log in sorted(logs, reverse=True):
        for service, update in _read_log(log).items():
            found.setdefault(service, []).append(update)
    return {service: tuple(updates[:SHOWN]) for service, updates in found.items()}


def _read_log(log: Path) -> dict[str, PastUpdate]:
    """Return the update by each service that got a generation; empty when it did not succeed."""
    services: set[str] = set()
    update: PastUpdate | None = None
    for line in log.read_text(errors="replace").splitlines():
        if '"resOutputsEvent"' in line and RELEASE in line:
            services |= _find_release(_parse(line))
        elif '"summaryEvent"' in line:
            update = _make_update(_parse(line))
    return dict.fromkeys(services, update) if update else {}


def _parse(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return {}
    return event if isinstance(event, dict) else {}


def _find_release(event: dict[str, Any]) -> set[str]:
    metadata = event.get("resOutputsEvent", {}).get("metadata", {})
    urn = str(metadata.get("urn", ""))
    return {urn.rpartition("::")[2]} if RELEASE in urn and metadata.get("op") in MADE else set()


def _make_update(event: dict[str, Any]) -> PastUpdate | None:
    summary = event.get("summaryEvent", {})
    if summary.get("result", "succeeded") != "succeeded":
        return None
    ended = datetime.fromtimestamp(int(event.get("timestamp") or 0), UTC)
    seconds = int(summary.get("durationSeconds") or 0)
    return PastUpdate(at=ended.isoformat(timespec="seconds"), seconds=seconds)
