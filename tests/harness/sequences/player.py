"""Plays operations on a project, and asserts what must hold after each.

What serves is what the source says, or a pin; an update that is troubled leaves what served, or
brings what is wanted; and from wherever it ended a clean update works.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.engine.matrix import CHECKS
from harness.engine.project import Outcome, Project
from harness.sequences.changes import CHANGES, HARM, follow, mark_artifacts
from harness.sequences.operations import HOUR, Operation
from immutable_servers.ledger.pin import HeldOff, Pin, Pinned
from immutable_servers.ledger.reader import parse_ledgers
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.planning.requests import Request, release

MOST_RUNS = 3
"""Clean updates after one that worked, the last of which has nothing to do: what no state knows
goes one run later."""


@dataclass
class Player:
    """A project that is played.

    Attributes:
        answers: What a client of each service must be answered; none while somebody's harm is
            not repaired.
        excuse: Told of each generation that somebody harms by hand.
        imported: Somebody imported an older state, whose seal may be older than a key that is left.
    """

    project: Project
    excuse: Callable[[str], None]
    answers: dict[str, str] = field(default_factory=dict)
    imported: bool = False

    def __post_init__(self) -> None:
        self.answers = self.answers or self._read_answers()

    def play(self, operation: Operation) -> None:
        """Do an operation, and assert what a client is answered after it."""
        for change in operation.changes:
            self._do(change)
        if operation.fault:
            self.project.set_fault(operation.fault)
        request, known = self._make_request(operation.ask), self._read_known_answers()
        self.project.prepare(wait=operation.wait, kill_at=operation.kill_at)
        done = self.project.ask(request, *operation.flags)
        self.project.unlock()
        assert not (operation.is_slow and done.code), done.text
        found = self._read_answers()
        for name, answer in found.items():
            self._judge(name, answer, known if self._may_stay(name, request) else set(), done)
            if done.code == 0 and request == Request() and not operation.troubled:
                self._judge_plain(name, answer)
        self.answers = found

    def _judge(self, name: str, answer: str, known: set[str], done: Outcome) -> None:
        """Assert that a client is answered what it was, or what is wanted."""
        wanted = {self.answers.get(name, answer), self.project.read_source()}
        assert answer in wanted | known, (name, done.text)
        assert f"broken-{name}" not in answer

    def _may_stay(self, name: str, request: Request) -> bool:
        """Return whether a pin, a canary or the balancer may keep a service from its source."""
        canary = self.project.services.get(name, {}).get("canary")
        late = self.project.world / "late.json"
        never = late.exists() and json.loads(late.read_text()).get(name, 0) < 0
        pinned = name in request.pins or self._read_pin(name) is not None
        return bool(canary) or never or pinned

    def _judge_plain(self, name: str, answer: str) -> None:
        """Assert that a run that nothing troubled brought what the source says, or the pin."""
        pin, ledger = self._read_pin(name), self._read_ledgers().get(name)
        if isinstance(pin, Pinned) and ledger:
            records = ledger.generations
            assert records[ledger.live].version == records[pin.generation].version
        elif isinstance(pin, HeldOff) and ledger and name in self.project.services:
            launch, asked = ledger.generations[pin.held].launch, self.project.services[name]
            assert {key: asked.get(key, one) for key, one in launch.items()} == launch
        elif pin is None and name in self.project.services:
            assert answer == self.project.read_source()

    def end(self, *, servers: Callable[[str], int]) -> None:
        """Undo what keeps a run from working, and assert that it works then, and is clean."""
        self._clean()
        pins: dict[str, Pin | None] = dict.fromkeys(self._read_ledgers())
        done = self.project.ask(Request(pins=pins))
        if done.code:
            # A candidate that cannot be verified any more is made again when its window is over.
            self.project.prepare(wait=2 * HOUR, kill_at=-1)
            done = self.project.ask(Request(pins=pins))
        assert done.code == 0, done.text
        for _ in range(MOST_RUNS):
            if done.changes or self.project.find_left():
                done = self.project.up()
                assert done.code == 0, done.text
        assert done.changes == {}, (done.steps, done.text)
        for name in self.project.services:
            assert self.project.answer(name) == self.project.read_source()
            self.project.assert_serving(name, servers=servers(name))
            assert self._find_halves(name) == []
        left = self.project.find_left()
        assert left == [] or self.imported, left

    def _find_halves(self, name: str) -> list[str]:
        """Return the generations that are kept and lack servers."""
        fleets = self.project.fleets(name).items()
        specs = {
            generation: json.loads(self.project.read_spec(generation, name))
            for generation, _ in fleets
        }
        return [generation for generation, count in fleets if count < specs[generation]["servers"]]

    def _do(self, change: str) -> None:
        """Do a change; harm by hand is excused until it is repaired."""
        if change in HARM:
            self.excuse(self.project.live())
            self.answers.pop("web", None)
        self.imported = self.imported or change.startswith("import")
        CHANGES[change](self.project)

    def _clean(self) -> None:
        project = self.project
        for name in ("web", "api"):
            project.mend_app(name, missing_ok=True)
        project.put_back(CHECKS)
        mark_artifacts({}, project)
        follow(project, after=0)
        usual = next(iter(project.services.values()))
        known = self._find_serving() | self._read_ledgers().keys()
        for number, name in enumerate(sorted(known - project.services.keys())):
            project.services[name] = {**usual, "route": {"port": 9000 + number}}
        for service in project.services.values():
            service.update(canary=None, before_traffic=[])
        project.write_settings()

    def _find_serving(self) -> set[str]:
        return {"web"} | {name for name in ("web", "api") if self.project.live(name)}

    def _read_answers(self) -> dict[str, str]:
        """Return what a client of each service is answered, where there are servers."""
        fleets = {name: self.project.live_fleet(name) for name in self._find_serving()}
        servers = {name: sorted(fleet.glob("server-*")) for name, fleet in fleets.items()}
        return {name: found[0].read_text() for name, found in servers.items() if found}

    def _read_ledgers(self) -> dict[str, ServiceLedger]:
        return parse_ledgers(self.project.read_output("ledger"))

    def _read_pin(self, name: str) -> Pin | None:
        ledger = self._read_ledgers().get(name)
        return ledger.pin if ledger else None

    def _read_known_answers(self) -> set[str]:
        """Return what servers answer that exist, or that may be launched again."""
        images = list((self.project.world / "images").glob("*.json"))
        servers = list((self.project.world / "fleets").glob("*/server-*"))
        baked = {str(json.loads(file.read_text())["facts"]["answer"]) for file in images}
        return baked | {file.read_text() for file in servers}

    def _make_request(self, asked: str) -> Request:
        """Return the request that the driver's command of this name makes; none if it refuses."""
        name = next(iter(self.project.services))
        ledger = self._read_ledgers().get(name)
        if not asked or ledger is None or not ledger.live:
            return Request()
        pin = ledger.pin
        if asked == "replace" and not isinstance(pin, Pinned):
            return Request(again={name: "by hand"}, others_stay=True)
        if asked.startswith("roll back"):
            return self._roll_back(name, ledger, further="further" in asked)
        if asked.startswith("resume") and pin:
            return Request(pins={name: None if "now" in asked else release(pin)}, others_stay=True)
        if asked == "retire":
            standbys = [g for g, r in ledger.generations.items() if r.state is State.STANDBY]
            return Request(retire={name: standbys[:1]}) if standbys else Request()
        return Request()

    def _roll_back(self, name: str, ledger: ServiceLedger, *, further: bool) -> Request:
        earlier = sorted(
            (r for r in ledger.generations.values() if r.verified and r.state is not State.LIVE),
            key=lambda record: -record.order,
        )
        usable = [record for record in earlier if not record.fault]
        chosen = usable[1:2] if further else usable[:1]
        if not chosen:
            return Request()
        held = ledger.pin.left if isinstance(ledger.pin, Pinned) else None
        pin = Pinned(chosen[0].generation, who="me", at="now", why="slow", left=held or ledger.live)
        return Request(pins={name: pin}, others_stay=True)
