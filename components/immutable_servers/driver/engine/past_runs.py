"""Measures how long work took in a stack's earlier updates, from their event logs."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from immutable_servers.driver.phases import Timeline
from immutable_servers.driver.terminal.plain import Expected
from immutable_servers.system.places import PROJECT_FOLDER

RUNS = 12
"""Number of recent runs that are read."""
SHORTEST = 1.0
"""Shorter work is left out, in seconds: events carry whole seconds."""
SAME = ('"op":"same"', '"op": "same"')


def find_expected(root: Path, stack: str) -> Expected:
    """Return the median time of earlier runs in seconds, by phase and subject."""
    found: dict[tuple[str, str], list[float]] = {}
    logs = sorted((root / PROJECT_FOLDER / "logs").glob(f"run-*-up-{stack}.jsonl"))
    for log in logs[-RUNS:]:
        for key, (start, end) in read_timeline(log).spans.items():
            if end - start >= SHORTEST:
                found.setdefault(key, []).append(end - start)
    return {key: median(times) for key, times in found.items()}


def read_timeline(log: Path) -> Timeline:
    """Return the timeline of a run, in seconds of the epoch; empty without its log."""
    timeline = Timeline()
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return timeline
    for line in lines:
        if not any(same in line for same in SAME):
            _take(line, timeline)
    return timeline


def _take(line: str, timeline: Timeline) -> None:
    try:
        event: Any = json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return
    if not isinstance(event, dict):
        return
    at = float(event.get("timestamp") or 0)
    if "resourcePreEvent" in event:
        timeline.begin(event["resourcePreEvent"]["metadata"], at)
    elif "resOutputsEvent" in event:
        timeline.end(event["resOutputsEvent"]["metadata"], at)
