"""Shows a run of the engine from its events: a line for each step that matters.

Events as the engine writes them with `--json`:
https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/apitype/events.go
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.driver.engine.errors import ECHO, clean, find_error
from immutable_servers.driver.phases import Timeline, Work, find_kind
from immutable_servers.driver.terminal.console import render_error
from immutable_servers.driver.terminal.display import Plain
from immutable_servers.driver.terminal.words import render_seconds

STACK_TYPE = "pulumi:pulumi:Stack"
OPERATIONS: Mapping[str, tuple[str, str]] = {
    "create": ("+", "made"),
    "update": ("~", "changed"),
    "delete": ("-", "deleted"),
    "replace": ("+-", "replaced"),
    "create-replacement": ("+", "made to replace the old one"),
    "delete-replaced": ("-", "deleted, as it was replaced"),
    "read": (">", "read"),
    "import": ("=", "imported"),
    "refresh": ("~", "refreshed"),
}
"""Sign and verb for each of the engine's operations; others are not printed."""
COMPONENT = "immutable-servers:index:"
"""Prefix of the types of our components, which only group resources."""
SILENT = ("same", "read", "refresh", "replace")
SAID = re.compile(r"(?P<phase>\w+) (?P<name>[\w-]+): (?P<text>.*)")
"""A line of progress, as `progress.start_saying` writes it."""
Event = Mapping[str, Any]


class Silent(Plain):
    """Shows nothing; for runs whose events alone are used."""

    def __init__(self) -> None:
        super().__init__({})

    def put(self, text: str) -> None:
        """Print nothing."""


@dataclass
class Reporter:
    """Takes the events of one run.

    Attributes:
        preview: Steps are planned, not done.
        errors: Texts of error diagnostics, in their order, without repetitions.
        outputs: The stack's outputs, as the run left them.
        timeline: When work began and ended, in seconds of the monotonic clock.
        failed: Work that was begun and failed.
        changes: Number of resources by what happened to them.
    """

    display: Plain = field(default_factory=Silent)
    preview: bool = False
    errors: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    failed: list[Work] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _started: dict[str, float] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """First start and last end of each phase that was worked on, in seconds."""
        return self.timeline.find_phases()

    @property
    def unfinished(self) -> list[Work]:
        """Work that was begun and failed, or did not end."""
        return [*self.failed, *(work for work, _ in self.timeline.running.values())]

    def take(self, event: Event) -> None:
        """Take one event; unknown kinds are ignored."""
        for kind, handle in (
            ("diagnosticEvent", self._take_diagnostic),
            ("resourcePreEvent", self._take_start),
            ("resOutputsEvent", self._take_end),
            ("resOpFailedEvent", self._take_failure),
            ("summaryEvent", self._take_summary),
        ):
            if kind in event:
                handle(event[kind])

    def _take_diagnostic(self, event: Event) -> None:
        text = clean(str(event.get("message", "")))
        severity = event.get("severity")
        if not text or severity == "debug":
            return
        if severity == "error":
            if text not in self.errors and not (self.errors and ECHO.match(text)):
                self.errors.append(text)
            return
        for line in text.splitlines():
            if severity == "warning":
                self.display.line(f"  warning: {line}")
            else:
                self.display.say_of(self._find_speaker(line), line)

    def _find_speaker(self, line: str) -> Work | None:
        """Return the running work that a line of progress is about."""
        said = SAID.match(line)
        if said is None:
            return None
        running = (work for work, _ in self.timeline.running.values())
        return next((work for work in running if _is_by(said, work)), None)

    def _take_start(self, event: Event) -> None:
        metadata = event["metadata"]
        operation, now = metadata["op"], time.monotonic()
        self._started[metadata["urn"] + operation] = now
        if self.preview:
            if operation in OPERATIONS and operation not in ("read", "refresh"):
                self._step(metadata, None, "")
            return
        work = self.timeline.begin(metadata, now)
        if work:
            self.display.begin(work)

    def _take_end(self, event: Event) -> None:
        metadata = event["metadata"]
        if metadata["type"] == STACK_TYPE:
            self.outputs = dict((metadata.get("new") or {}).get("outputs") or {})
        operation, now = metadata["op"], time.monotonic()
        started = self._started.pop(metadata["urn"] + operation, now)
        if self.preview or operation in SILENT or operation not in OPERATIONS:
            return
        work = self.timeline.end(metadata, now)
        about = self.display.word_expected(work) if work else ""
        expected = f", {about} before" if about and now - started >= 1 else ""
        self._step(metadata, work, f" ({render_seconds(now - started)}{expected})")

    def _take_failure(self, event: Event) -> None:
        work = self.timeline.drop(event["metadata"])
        if work:
            self.failed.append(work)
            self.display.drop(work)

    def _take_summary(self, event: Event) -> None:
        self.changes = dict(event.get("resourceChanges") or {})

    def _step(self, metadata: Event, work: Work | None, took: str) -> None:
        if metadata["type"] == STACK_TYPE or metadata["type"].startswith(COMPONENT):
            return
        sign, verb = OPERATIONS[metadata["op"]]
        name = metadata["urn"].rsplit("::", 1)[1]
        kind = find_kind(metadata)
        if kind == "Image" and metadata["op"] in ("delete", "delete-replaced"):
            verb = "forgotten, it stays in the catalog"
        line = f"{sign:>2} {kind} {name}{'' if self.preview else f' {verb}'}"
        if metadata["op"] == "delete-replaced":
            # After failed runs the state holds several old entries of one name; once is enough.
            if line in self._forgotten:
                return
            self._forgotten.add(line)
        line += took
        if work:
            self.display.end(work, line)
        else:
            self.display.line(line)

    def render_errors(self) -> list[str]:
        """Return the errors for a reader; ours have three parts."""
        found = [(find_error(text), text) for text in self.errors]
        return [render_error(error) if error else text for error, text in found]


def _is_by(said: "re.Match[str]", work: Work) -> bool:
    """Return whether a line is about some work; there a version follows an image's name."""
    named = said["name"]
    return said["phase"] == work.phase and (
        named == work.name or (work.phase == "bake" and named.rpartition("-")[0] == work.name)
    )
