"""Prints an engine's run from its events: a line for each step that matters, errors at the end.

Events as the engine writes them with `--json`:
https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/apitype/events.go
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.driver.console import render_error
from immutable_servers.driver.outcome import ECHO, clean, find_error
from immutable_servers.driver.setup.install import render_seconds

STACK_TYPE = "pulumi:pulumi:Stack"
OPERATIONS: Mapping[str, tuple[str, str]] = {
    "create": ("+", "made"),
    "update": ("~", "changed"),
    "delete": ("-", "deleted"),
    "replace": ("+-", "replaced"),
    "create-replacement": ("+", "made to replace the old one"),
    "delete-replaced": ("-", "replaced one deleted"),
    "read": (">", "read"),
    "import": ("=", "imported"),
    "refresh": ("~", "refreshed"),
}
"""The engine's word for a step: sign and verb. What is not named is not printed."""
COMPONENT = "immutable-servers:index:"
"""How the types of our components begin: folders of resources, with nothing of their own to do."""
PHASES: Mapping[str, str] = {
    "Image": "bake",
    "LocalFleet": "launch",
    "Verification": "verify",
    "Seal": "seal",
    "Traffic": "traffic",
    "": "retire",
}
"""The phase that work on a kind of resource stands for, in their order; a deletion is the last."""
SILENT = ("same", "read", "refresh", "replace")
Event = Mapping[str, Any]


@dataclass
class Reporter:
    """Takes the events of one run.

    Attributes:
        preview: Steps are planned, not done.
        errors: Texts of error diagnostics, in their order, without repetitions.
        outputs: The stack's outputs, as the run left them.
        spans: First start and last end of each phase that was worked on, in seconds.
        changes: Number of resources by what happened to them.
    """

    say: Callable[[str], None]
    preview: bool = False
    errors: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _started: dict[str, float] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take one event; of the kinds that it does not know it takes no notice."""
        for kind, handle in (
            ("diagnosticEvent", self._take_diagnostic),
            ("resourcePreEvent", self._take_start),
            ("resOutputsEvent", self._take_end),
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
        mark = "warning: " if severity == "warning" else ""
        for line in text.splitlines():
            self._line(f"  {mark}{line}")

    def _take_start(self, event: Event) -> None:
        metadata = event["metadata"]
        operation = metadata["op"]
        self._started[metadata["urn"] + operation] = time.monotonic()
        if self.preview and operation in OPERATIONS and operation not in ("read", "refresh"):
            self._step(metadata, "")

    def _take_end(self, event: Event) -> None:
        metadata = event["metadata"]
        if metadata["type"] == STACK_TYPE:
            self.outputs = dict((metadata.get("new") or {}).get("outputs") or {})
        operation, now = metadata["op"], time.monotonic()
        started = self._started.pop(metadata["urn"] + operation, now)
        if self.preview or operation in SILENT or operation not in OPERATIONS:
            return
        phase = "retire" if operation == "delete" else PHASES.get(_find_kind(metadata))
        if phase and operation != "delete-replaced":
            first, _ = self.spans.get(phase, (started, now))
            self.spans[phase] = (min(first, started), now)
        self._step(metadata, f" ({render_seconds(now - started)})")

    def _take_summary(self, event: Event) -> None:
        self.changes = dict(event.get("resourceChanges") or {})

    def _step(self, metadata: Event, took: str) -> None:
        if metadata["type"] == STACK_TYPE or metadata["type"].startswith(COMPONENT):
            return
        sign, verb = OPERATIONS[metadata["op"]]
        name = metadata["urn"].rsplit("::", 1)[1]
        kind = _find_kind(metadata)
        if kind == "Image" and metadata["op"] in ("delete", "delete-replaced"):
            verb = "forgotten, it stays in the catalog"
        self._line(f"{sign:>2} {kind} {name}{'' if self.preview else f' {verb}'}{took}")

    def _line(self, line: str) -> None:
        elapsed = time.monotonic() - self.began
        self.say(f"{elapsed // 60:3.0f}:{elapsed % 60:02.0f} {line}")

    def render_phases(self) -> str:
        """Return how long each phase took, in their order; empty when all was quick."""
        took = {phase: end - start for phase, (start, end) in self.spans.items()}
        long = [phase for phase in PHASES.values() if took.get(phase, 0) >= 1]
        return ", ".join(f"{phase} {render_seconds(took[phase])}" for phase in long)

    def render_changes(self) -> str:
        """Return what happened to how many resources."""
        done = {
            "create": "made",
            "replace": "replaced",
            "update": "changed",
            "delete": "deleted",
            "same": "unchanged",
        }
        counts = {done.get(kind, kind): count for kind, count in self.changes.items()}
        words = [f"{counts[word]} {word}" for word in done.values() if counts.get(word)]
        if {*counts} <= {"unchanged", "read"}:
            return "nothing to do"
        return ", ".join(words)

    def render_errors(self) -> list[str]:
        """Return the errors for a reader: ours in their three parts."""
        found = [(find_error(text), text) for text in self.errors]
        return [render_error(error) if error else text for error, text in found]


def _find_kind(metadata: Event) -> str:
    """Return the short name of a resource's type, such as `MachineImage`."""
    return str(metadata["type"]).rsplit(":", 1)[-1].rsplit("/", 1)[-1]
