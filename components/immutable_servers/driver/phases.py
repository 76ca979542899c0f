"""Assigns the engine's steps to the phases of an update.

The types of the resource and its parents decide, so that no target's own types are named here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PHASES = ("bake", "launch", "verify", "seal", "traffic", "retire")
"""In their order."""
BY_KIND: Mapping[str, str] = {
    "Image": "bake",
    "Verification": "verify",
    "Seal": "seal",
    "Traffic": "traffic",
}
GENERATION = "immutable-servers:index:Generation"
"""What a generation holds is launched, except `PLUMBING`."""
PLUMBING = ("Access", "Retirement")
ID = re.compile(r"-[0-9a-f]{8}$")
WORKING = ("create", "create-replacement", "update")


@dataclass(frozen=True)
class Work:
    """One step of a phase.

    Attributes:
        subject: The image or the service that it is for.
        name: The resource's own name, such as `web-3f2a9c41`.
    """

    phase: str
    subject: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """What the work of several runs is compared by."""
        return (self.phase, self.subject)


def find_work(metadata: Mapping[str, Any]) -> Work | None:
    """Return the work of an engine step; None for a step of no phase."""
    before, _, name = str(metadata["urn"]).rpartition("::")
    parents = before.rpartition("::")[2].split("$")[:-1]
    kind = find_kind(metadata)
    operation, subject = metadata["op"], ID.sub("", name)
    if kind in BY_KIND and operation in WORKING:
        return Work(BY_KIND[kind], subject, name)
    if not parents or parents[-1] != GENERATION:
        return None
    if operation == "delete":
        return Work("retire", subject, name)
    launches = operation in WORKING and kind not in PLUMBING
    return Work("launch", subject, name) if launches else None


def find_kind(metadata: Mapping[str, Any]) -> str:
    """Return the short name of a resource's type, such as `Image`."""
    return str(metadata["type"]).rsplit(":", 1)[-1].rsplit("/", 1)[-1]


@dataclass
class Timeline:
    """When work began and ended, from the engine's events.

    Attributes:
        running: Running work by step, with its start.
        steps: Start and end of each finished step, by phase and subject.
    """

    running: dict[str, tuple[Work, float]] = field(default_factory=dict)
    steps: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def spans(self) -> dict[tuple[str, str], tuple[float, float]]:
        """First start and last end of finished work, by phase and subject."""
        return {key: _find_span(steps) for key, steps in self.steps.items()}

    def begin(self, metadata: Mapping[str, Any], at: float) -> Work | None:
        """Take the start of a step."""
        work = find_work(metadata)
        if work:
            self.running[_name_step(metadata)] = (work, at)
        return work

    def end(self, metadata: Mapping[str, Any], at: float) -> Work | None:
        """Take the end of a step that went well."""
        work, began = self.running.pop(_name_step(metadata), (None, at))
        if work:
            self.steps.setdefault(work.key, []).append((began, at))
        return work

    def drop(self, metadata: Mapping[str, Any]) -> Work | None:
        """Take the end of a step that failed."""
        work, _ = self.running.pop(_name_step(metadata), (None, 0.0))
        return work

    def find_phases(self) -> dict[str, tuple[float, float]]:
        """Return the first start and the last end of each phase, in their order."""
        return {
            phase: _find_span([span for (name, _), span in self.spans.items() if name == phase])
            for phase in self.find_seconds()
        }

    def find_seconds(self) -> dict[str, float]:
        """Return how long each phase took, in their order: the sum of its images or services.

        What several took side by side counts for each of them; what waited counts for none.
        """
        sums = {
            phase: sum(_measure(steps) for (name, _), steps in self.steps.items() if name == phase)
            for phase in PHASES
        }
        worked_on = {phase for phase, _ in self.steps}
        return {phase: seconds for phase, seconds in sums.items() if phase in worked_on}


def _find_span(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(start for start, _ in spans), max(end for _, end in spans)


def _measure(steps: Sequence[tuple[float, float]]) -> float:
    """Return the seconds in which at least one of the steps ran."""
    seconds, done = 0.0, float("-inf")
    for start, end in sorted(steps):
        seconds += max(end - max(start, done), 0)
        done = max(done, end)
    return seconds


def _name_step(metadata: Mapping[str, Any]) -> str:
    return f"{metadata['urn']} {metadata['op']}"
