"""A client of the simulated target that looks whenever something happens there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.simulation.project import SimulatedProject

Fleet = tuple[str, str]
"""Service and generation."""


@dataclass
class Watch:
    """What was proved of each fleet, and what must never be seen.

    Attributes:
        checked: Fleets with servers that passed the checks since their fleet was launched.
        proved: Those of them that were sealed afterwards: what may have traffic.
        touched: Fleets that somebody logged in to before that: they never may.
        excused: Generations that somebody harmed by hand.
        wrong: What it saw that must not be.
    """

    checked: set[Fleet] = field(default_factory=set)
    proved: set[Fleet] = field(default_factory=set)
    touched: set[Fleet] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def copy(self) -> "Watch":
        """Return a watch of its own."""
        fleets = (set(self.checked), set(self.proved), set(self.touched))
        return Watch(*fleets, set(self.excused), list(self.wrong))

    def see(self, project: "SimulatedProject", event: str, facts: Mapping[str, Any]) -> None:
        """Take an event of the target, and look."""
        fleet = (facts.get("service", ""), facts.get("generation", ""))
        if event == "lost":
            self.forget(fleet)
        elif event == "checked" and facts["server"] != "probe":
            self.checked.add(fleet)
        elif event == "login" and fleet not in self.proved:
            self.touched.add(fleet)
        elif event == "seal" and fleet in self.checked - self.touched:
            self.proved.add(fleet)
        elif event == "delete":
            self.forget(fleet)
            self.wrong += [f"{fleet} was deleted and served"] if facts["serving"] else []
        if event in ("boot", "seal", "traffic", "delete"):
            self.look(project)

    def forget(self, fleet: Fleet) -> None:
        """Take what was proved of a fleet for that of servers that are gone."""
        for fleets in (self.checked, self.proved, self.touched):
            fleets.discard(fleet)

    def look(self, project: "SimulatedProject") -> None:
        """Look at each service's pointer."""
        for pointer in (project.world / "traffic").glob("*.json"):
            weights = json.loads(pointer.read_text())
            for generation in (one for one, weight in weights.items() if weight):
                self._look_at((pointer.stem, generation), project)

    def _look_at(self, fleet: Fleet, project: "SimulatedProject") -> None:
        service, generation = fleet
        if generation in self.excused:
            return
        if not project.fleets(service).get(generation):
            self.wrong.append(f"{fleet} has traffic and no server")
        if fleet not in self.proved:
            self.wrong.append(f"{fleet} has traffic and was not verified and sealed")
