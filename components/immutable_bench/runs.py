"""The runs that the measurements share: each is made once, when a measurement first asks for it.

First run (one server) → nothing to do → a preview and an update with a changed source and two
servers → an update with another `env` under load → a rollback while clients ask → another change.
Each builds on the one before.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from immutable_bench.client import Answer, start_clients
from immutable_bench.memory import Memory, start_sampling
from immutable_bench.scratch import MARK, Scratch
from immutable_servers.driver.engine.reporter import Event, Reporter
from immutable_servers.driver.engine.run import run_engine
from immutable_servers.errors import ImmutableError

RATE = 200
"""Requests in a second while traffic moves."""
FEW = 20
"""Requests in a second while a time is taken: more would take the processor from what is timed."""


@dataclass(frozen=True)
class Timing:
    """One run of the engine.

    Attributes:
        seconds: From its start to its end.
        began: Its start, on the monotonic clock.
        spans: First start and last end of each phase, on the same clock.
    """

    seconds: float
    began: float
    reporter: Reporter

    def phase(self, name: str) -> float:
        """Return the seconds of a phase, 0 when there was none."""
        start, end = self.reporter.spans.get(name, (0.0, 0.0))
        return end - start

    @property
    def until_traffic(self) -> float:
        """Seconds from the start until traffic had moved."""
        _, end = self.reporter.spans.get("traffic", (0.0, self.began + self.seconds))
        return end - self.began


@dataclass(frozen=True)
class Rollback:
    """What clients saw of a rollback.

    Attributes:
        began: When the command was given, on the monotonic clock.
        standby: The generation that it goes back to.
    """

    began: float
    standby: str
    answers: Sequence[Answer]

    @property
    def seconds(self) -> float:
        """Seconds until the standby answered first; it was never launched again by then."""
        times = [answer.at for answer in self.answers if answer.generation == self.standby]
        return min(times, default=float("inf")) - self.began

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(1 for answer in self.answers if not answer.ok)


@dataclass(frozen=True)
class Cutover:
    """A run under load.

    Attributes:
        answers: To clients that asked from its start to its end.
        full: When they asked at the whole rate: from the end of the verification on.
    """

    timing: Timing
    answers: Sequence[Answer]
    full: tuple[float, float]


@dataclass
class Following(Reporter):
    """Lets a function look at the run after each event."""

    look: Callable[[Reporter], None] = lambda _reporter: None

    def take(self, event: Event) -> None:
        """Take one event."""
        super().take(event)
        self.look(self)


class Runs:
    """The runs on one scratch stack."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._failed: ImmutableError | None = None

    @cached_property
    def first(self) -> Timing:
        """The first update: one server."""
        self.scratch.write(1)
        return self._run("up", "--yes", "--skip-preview")

    @cached_property
    def nothing(self) -> Timing:
        """An update with nothing to do."""
        _ = self.first
        return self._run("up", "--yes", "--skip-preview", "--expect-no-changes")

    @cached_property
    def preview(self) -> Timing:
        """A preview after a change of the source."""
        _ = self.nothing
        self.scratch.change_source()
        return self._run("preview", preview=True)

    @cached_property
    def own_preview(self) -> tuple[float, float]:
        """Seconds of `./immutable preview` of that change, and of the engine's preview in it."""
        _ = self.preview
        began = time.monotonic()
        said = self.scratch.drive("preview", self.scratch.stack.name, "--json", "-")
        took = time.monotonic() - began
        (stack,) = json.loads(said)["stacks"]
        return took, float(stack["engine"]["seconds"])

    @cached_property
    def status(self) -> float:
        """Seconds of `./immutable status`."""
        _ = self.preview
        began = time.monotonic()
        self.scratch.drive("status", self.scratch.stack.name)
        return time.monotonic() - began

    @cached_property
    def changed(self) -> Timing:
        """The update for that change, now with two servers."""
        _ = self.preview
        self.scratch.write(2)
        return self._run("up", "--yes", "--skip-preview")

    @cached_property
    def moved(self) -> "Cutover":
        """A new generation while clients ask all the time, with what they were answered."""
        _ = self.changed
        address = find_address(self.changed.reporter.outputs, self.scratch.service)
        self.scratch.write(2, MEASURED="cutover")
        with start_clients(address, FEW) as clients:
            full: list[float] = []

            def follow(reporter: Reporter) -> None:
                if "verify" in reporter.spans and not full:
                    full.append(clients.set_rate(RATE))

            timing = self._run("up", "--yes", "--skip-preview", follow=follow)
            ended = time.monotonic()
        return Cutover(timing, clients.answers, (full[0] if full else ended, ended))

    @cached_property
    def rolled_back(self) -> "Rollback":
        """A rollback to the standby, by the driver's command, while clients ask."""
        _ = self.moved
        service = self.scratch.service
        outputs = self.changed.reporter.outputs
        standby = str(outputs["services"][service]["live"])
        words = ("rollback", self.scratch.stack.name, service, "--why", "measured")
        with start_clients(find_address(outputs, service), FEW) as clients:
            began = time.monotonic()
            self.scratch.drive(*words)
        return Rollback(began, standby, clients.answers)

    @cached_property
    def memory(self) -> Memory:
        """What `./immutable up` takes, with a bake, two boots and their verification."""
        _ = self.rolled_back
        name = self.scratch.stack.name
        self.scratch.drive("resume", name, self.scratch.service)
        self.scratch.change_source()
        with start_sampling(MARK) as memory:
            self.scratch.drive("up", name)
        return memory

    def _run(
        self, *words: str, preview: bool = False, follow: Callable[[Reporter], None] | None = None
    ) -> Timing:
        if self._failed:
            raise self._failed  # what builds on a run that failed is not tried
        reporter = Following(look=follow) if follow else Reporter(preview=preview)
        began = time.monotonic()
        ended = run_engine(self.scratch.stack, list(words), reporter)
        took = time.monotonic() - began
        if ended.code:
            self._failed = ImmutableError(
                f"`pulumi {words[0]}` of the scratch stack failed",
                facts=[*reporter.render_errors(), *ended.output],
            )
            raise self._failed
        return Timing(took, began, reporter)


def find_address(outputs: object, service: str) -> str:
    """Return where a service answers, as the stack's outputs say.

    Raises:
        ImmutableError: They do not.
    """
    services = outputs.get("services") if isinstance(outputs, dict) else None
    found = services.get(service) if isinstance(services, dict) else None
    if not isinstance(found, dict) or not found.get("address"):
        raise ImmutableError("The run exported no address")
    return str(found["address"])
