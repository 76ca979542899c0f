"""A project whose checkout, world and state are in memory: it does what `Project` does."""

import errno
import os
from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from harness.engine.faults import HOUR, MOMENTS, refuse
from harness.engine.matrix import CHECKS, SOURCE
from harness.engine.project import MOST_STATES, SAMPLE, Outcome, Project
from harness.simulation import machine
from harness.simulation.engine import Flags, Killed, ProviderDied, Run, State, iterate
from harness.simulation.memory import MemoryPath
from harness.simulation.watch import Watch
from immutable_servers.planning.requests import Request
from immutable_servers.resources.declared import Declared
from immutable_servers.traffic.settling import SETTLED

NOTHING = Declared()


@cache
def read_sample() -> Mapping[str, str]:
    """Return the texts of the sample by path."""
    files = (
        file for file in SAMPLE.rglob("*") if file.is_file() and "__pycache__" not in str(file)
    )
    return {str(file.relative_to(SAMPLE)): file.read_text() for file in files}


@dataclass
class SimulatedProject(Project):
    """A project in memory.

    Attributes:
        files: Checkout and world.
        clock: In seconds since the epoch.
        watch: A client that looks at what serves whenever something happens.
        checkout: Whose state it is.
    """

    files: dict[str, str] = field(default_factory=dict)
    state: State = field(default_factory=State)
    watch: "Watch" = field(default_factory=Watch)
    clock: float = machine.BEGAN
    checkout: str = "here"
    request: Request = field(default_factory=Request)
    faults: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    chance: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - the same, always
    kill_at: float = -1
    run: Run | None = None
    declared: Declared = NOTHING

    @classmethod
    def start(cls) -> "SimulatedProject":
        """Return the sample with nothing launched."""
        files = {f"/project/{path}": text for path, text in read_sample().items()}
        project = cls(MemoryPath(files, "/project"), files=files)  # type: ignore[arg-type]
        project.revert_settings(keep=1)
        return project

    def fork(self) -> "SimulatedProject":
        """Return a copy with a future of its own."""
        files = dict(self.files)
        return replace(
            self,
            root=MemoryPath(files, "/project"),  # type: ignore[arg-type]
            files=files,
            services={name: dict(service) for name, service in self.services.items()},
            images=dict(self.images),
            state=self.state.copy(),
            earlier=list(self.earlier),
            watch=self.watch.copy(),
            chance=copy(self.chance),
        )

    @property
    def world(self) -> Path:
        return MemoryPath(self.files, "/world")  # type: ignore[return-value]

    def write_settings(self) -> None:
        """Do nothing: the settings are read from here."""

    def take_sample(self) -> None:
        for path in [path for path in self.files if path.startswith("/project/app/")]:
            del self.files[path]
        self.put_back(SOURCE)

    def put_back(self, path: str) -> None:
        self.files[f"/project/{path}"] = read_sample()[path]

    def import_older(self, number: int) -> None:
        if self.earlier:
            self.state = self.earlier[-number:][0].copy()

    def forget(self, kind: str) -> None:
        """Take the first resource of a kind out of the state, and what depends on it.

        Pulumi does not where an older one of its name still waits for its delete.
        """
        entries = self.state.entries
        going = {entry.urn for entry in list(iterate(entries, kind))[:1]}
        if any(one.urn in going for one in self.state.pending):
            return
        while more := {u for u, e in entries.items() if e.needs & going} - going:
            going |= more
        for urn in going:
            del entries[urn]
        self.state.pending = [one for one in self.state.pending if not one.needs & going]

    def read_output(self, name: str) -> Any:  # noqa: ANN401 - whatever a run exported
        return self.state.outputs.get(name)

    def prepare(self, *, wait: int, kill_at: float) -> None:
        self.clock += wait
        self.kill_at = kill_at

    def ask(self, request: Request, *flags: str) -> Outcome:
        self.earlier = [*self.earlier, self.state.copy()][-MOST_STATES:]
        self.request = request
        done = self.up(*flags)
        self.request = Request()
        return done

    def read_folder(self, name: str) -> dict[str, str]:
        """Return the texts of a folder of the checkout, by name."""
        start = f"{self.root}/{name}/"
        return {p: text for p, text in self.files.items() if p.startswith(start)}

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - plain values
        """Keep an event of the target, and look at what serves."""
        self.events.append({"event": event, **facts})
        self.watch.see(self, event, facts)

    def meet(self, moment: str) -> None:
        """Let happen what is due at a moment."""
        for name, times in list(self.faults.items()):
            what = name.removeprefix(f"{moment}: ")
            if times and what != name:
                self.faults[name] -= 1
                self._do_fault(moment, what)

    def _do_fault(self, moment: str, what: str) -> None:
        if what == "refuse":
            refuse(moment)
        elif what == "disk full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), moment)
        elif what == "kill engine":
            raise Killed
        elif what == "kill provider":
            raise ProviderDied
        elif what == "take an hour":
            self.clock += HOUR
        elif self.run:
            self.run.stopped = True

    def set_fault(self, name: str, times: int = 1) -> None:
        assert name.partition(": ")[0] in MOMENTS, name
        self.faults[name] = times

    def unlock(self) -> None:
        self.faults.clear()

    @property
    def checks(self) -> str:
        """The text of the checks."""
        return self.files[f"/project/{CHECKS}"]

    def read_checked(self, server: str, service: str, generation: str) -> str:
        """Return what a server that is checked answers."""
        name = f"{service}-{generation}"
        if server == "probe":
            return (self.world / "probes" / name).read_text()
        return (self.world / "fleets" / name / f"server-{server.rpartition('-')[2]}").read_text()

    def up(self, *arguments: str) -> Outcome:
        machine.use(self)
        self.events, self.declared = [], NOTHING
        SETTLED.clear()  # as in a new process
        self.clock += 60
        run = Run(self.state, Flags.read(arguments), self.chance, self.kill_at)
        self.run = run
        machine.begin(run)
        program_failed = False
        code = 0
        try:
            try:
                exec(machine.PROGRAM, {"__name__": "__main__"})  # noqa: S102 - our own program
            except (Exception, ProviderDied) as error:  # noqa: BLE001 - whatever ends a program
                program_failed = run.failed = True
                run.say(f"{type(error).__name__}: {error}")
            run.finish(program_failed=program_failed)
            code = int(run.failed or run.stopped)
        except Killed:
            code = -9
        self.run, self.kill_at = None, -1
        assert self.watch.wrong == [], self.watch.wrong
        dangling = self.state.find_dangling()
        assert dangling == [], dangling
        changes = Counter(step.split()[0] for step in run.steps)
        return Outcome(code, "\n".join(run.said), changes, run.steps, self.events, {})

    def ledger(self, service: str = "web") -> dict[str, Any]:
        found: dict[str, Any] = self.state.outputs["ledger"][service]
        return found

    def states(self, service: str = "web") -> dict[str, str]:
        records = self.ledger(service)["generations"]
        return {generation: record["state"] for generation, record in records.items()}

    def assert_serving(self, service: str = "web", *, servers: int = 2) -> None:
        live = self.live(service)
        assert self.fleets(service).get(live) == servers
        assert (service, live) in self.watch.proved
