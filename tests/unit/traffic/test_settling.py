"""Moves whose balancer has real nodes, which follow late, never, or cannot be asked."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from harness.nodes import NAME, Nodes, Said, lead_to, start_nodes
from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.front import Front
from immutable_servers.contract.values import ALL, Answers, Fleet, Health, Member, Route, Scope
from immutable_servers.errors import RetirementError, StoppedError, TrafficError
from immutable_servers.system import stopping
from immutable_servers.targets import place as places
from immutable_servers.targets.place import Place
from immutable_servers.traffic import settling
from immutable_servers.traffic.move import point
from immutable_servers.traffic.settling import SETTLED, wait_until_left

OLD, NEW = "aaaaaaaa", "bbbbbbbb"
SCOPE = Scope("project", "dev", "web", NEW)
PLACE = Place("toy", {}, SCOPE)
ROUTE = Route("web", 80)
FRONT = Front(ROUTE, "/healthz", settle=0.0)
FROM_OLD: Said = (200, [f"web-{OLD}"])
FROM_NEW: Said = (200, [f"web-{NEW}"])
NOBODY: Said = (503, [])
NAMELESS: Said = (200, [])
BROKEN: Said = (502, [])


@dataclass
class ToyBalancer(Balancer):
    """A pointer in memory, in front of nodes; where it `stops` a move is followed by a Ctrl-C."""

    weights: dict[str, int] = field(default_factory=lambda: {OLD: ALL})
    moves: list[dict[str, int]] = field(default_factory=list)
    port: int = 0
    stops: bool = False
    settle_poll: float = 0.005
    settle_within: float = 30.0

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        return dict(self.weights)

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        return {"one": Member(up=True)}

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        return {}

    def find_address(self, route: Route, scope: Scope) -> str:
        return f"http://{NAME}:{self.port}"

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        self.weights = dict(weights)
        self.moves.append(self.weights)
        if self.stops:
            stopping.STOP.set()

    def _count_open(self, scope: Scope) -> int:
        return 0


@dataclass
class ToyFleets:
    """Fleets that are whole, and answer."""

    whole: bool = True

    def find(self, _scope: Scope) -> dict[str, Fleet]:
        return {OLD: Fleet(OLD, {}, 1, self.whole, 1)}

    def find_given_up(self, _scope: Scope) -> set[str]:
        return set()

    def find_health(self, _scope: Scope) -> list[Health]:
        return [Health("web-0", ok=True, detail="200")]


@dataclass
class World:
    """What a test plays with."""

    balancer: ToyBalancer
    fleets: ToyFleets
    said: list[str]
    start: Callable[..., Nodes]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have the place lead to a balancer in memory, and forget what was settled."""
    balancer, fleets = ToyBalancer(), ToyFleets()
    target = SimpleNamespace(balancer=balancer, fleets=fleets)
    monkeypatch.setattr(places, "load_target", lambda *_words: target)
    started: list[Any] = []

    def start(*answers: list[Said]) -> Nodes:
        context = start_nodes(monkeypatch, *answers)
        nodes = context.__enter__()
        started.append(context)
        balancer.port = nodes.port
        return nodes

    SETTLED.clear()
    yield World(balancer, fleets, [], start)
    SETTLED.clear()
    for context in started:
        context.__exit__(None, None, None)


def move(world: World, front: Front = FRONT, back: str = OLD) -> None:
    """Give the new generation all traffic."""
    balancer = world.balancer
    new, moves = not balancer.find_live(SCOPE), not balancer.is_pointing(SCOPE)
    point(PLACE, front, back, world.said.append, new=new, moves=moves)


def test_a_move_is_over_when_the_last_node_has_followed(world: World) -> None:
    """The line has both times; who drains in the same run does not ask once more."""
    nodes = world.start([FROM_OLD, FROM_NEW], [*[FROM_OLD] * 7, FROM_NEW])
    move(world)
    assert world.balancer.moves == [{NEW: ALL}]
    assert [len(node.answers) for node in nodes.nodes.values()] == [1, 1]
    assert len(nodes[1].asked) == 8
    assert world.said[-1].startswith("API ")
    assert ", last old answer " in world.said[-1]
    wait_until_left(PLACE.at(OLD), FRONT.to_plain(), world.said.append)
    assert len(nodes[1].asked) == 8


def test_a_failed_answer_begins_the_time_anew(world: World) -> None:
    """It is over when only the new generation has answered, not when it has answered at all."""
    nodes = world.start([FROM_OLD, FROM_NEW, BROKEN, (0, []), FROM_NEW])
    move(world)
    assert len(nodes[0].asked) >= 2
    settled = Front(ROUTE, "/healthz", settle=0.2)
    nodes[0].answers[:] = [FROM_NEW, FROM_NEW, BROKEN, FROM_NEW]
    move(world, settled)
    assert nodes[0].answers == [FROM_NEW]


def test_who_never_follows_gets_the_traffic_taken_back(world: World) -> None:
    """The run fails and says from whom the answers were."""
    world.start([FROM_OLD, FROM_NEW], [FROM_OLD])
    world.balancer.settle_within = 0.1
    with pytest.raises(TrafficError) as raised:
        move(world)
    assert world.balancer.moves == [{NEW: ALL}, {OLD: ALL}]
    assert f"answers still from {OLD}" in raised.value.facts[0]
    assert raised.value.facts[1] == f"all traffic was given back to generation {OLD}"
    assert raised.value.todo
    assert SETTLED == {}


def test_it_stays_where_nobody_whole_is_left_to_go_back_to(world: World) -> None:
    """Half a fleet is not given what a verified one has."""
    world.start([FROM_OLD])
    world.balancer.settle_within, world.fleets.whole = 0.05, False
    with pytest.raises(TrafficError) as raised:
        move(world)
    assert world.balancer.moves == [{NEW: ALL}]
    assert f"so {NEW} serves" in raised.value.facts[1]


def test_a_first_move_waits_for_its_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new name is not known at first, and then nobody serves for a moment."""
    world.balancer.weights = {}
    nodes = world.start([NOBODY, NOBODY, FROM_NEW])
    known, asked = world.balancer.prepare_question(FRONT, SCOPE), []

    def find_late() -> Any:  # noqa: ANN401 - the replies
        asked.append(1)
        lead_to(monkeypatch, *([] if len(asked) < 3 else nodes.nodes))
        return known()

    monkeypatch.setattr(world.balancer, "prepare_question", lambda *_words: find_late)
    move(world, back="")
    assert len(nodes[0].asked) == 3
    assert world.balancer.moves == [{NEW: ALL}]


def test_a_first_move_that_nobody_answers_fails_and_stays(world: World) -> None:
    """There is nobody to give traffic back to."""
    world.balancer.weights, world.balancer.settle_within = {}, 0.05
    world.start([NOBODY])
    with pytest.raises(TrafficError) as raised:
        move(world, back="")
    assert "answers failed (503)" in raised.value.facts[0]
    assert world.balancer.moves == [{NEW: ALL}]


@pytest.mark.parametrize("weights", [{OLD: ALL}, {}])
def test_an_address_that_cannot_be_asked_is_waited_for(
    world: World, weights: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal balancer, or one that lets this machine not in: the run says so."""
    monkeypatch.setattr(settling, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(settling, "SILENT_SECONDS", 0.02)
    world.balancer.weights = weights
    world.start([FROM_NEW])
    lead_to(monkeypatch, "255.255.255.255")
    began, front = time.monotonic(), Front(ROUTE, "/healthz", settle=0.3)
    move(world, front)
    assert time.monotonic() - began >= front.settle
    assert "cannot ask" in " ".join(world.said)
    assert world.balancer.weights == {NEW: ALL}


def test_without_the_header_the_time_is_waited_out(world: World) -> None:
    """From the last failed answer."""
    nodes = world.start([NAMELESS, NAMELESS, BROKEN, NAMELESS])
    began, front = time.monotonic(), Front(ROUTE, "/healthz", settle=0.3)
    move(world, front)
    assert time.monotonic() - began >= front.settle
    assert nodes[0].answers == [NAMELESS]


def test_a_stop_ends_the_wait_and_leaves_the_traffic(world: World) -> None:
    """The next run waits for the nodes before anything is drained."""
    world.start([FROM_OLD])
    world.balancer.stops = True
    try:
        with pytest.raises(StoppedError):
            move(world)
    finally:
        stopping.STOP.clear()
    assert world.balancer.weights == {NEW: ALL}
    assert SETTLED == {}


def test_the_progress_says_how_many_are_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line now and then while it waits."""
    monkeypatch.setattr(settling, "SPEAK_EVERY", 0.0)
    world.start([FROM_OLD, FROM_NEW], [FROM_OLD, FROM_OLD, FROM_NEW])
    move(world)
    assert f"1 of 2 answers still from {OLD}" in world.said


def test_nothing_is_drained_that_a_node_still_sends_to(world: World) -> None:
    """The pointer leads elsewhere, by a run that was killed: the nodes are asked."""
    world.balancer.weights = {NEW: ALL}
    nodes = world.start([FROM_NEW], [FROM_OLD, FROM_OLD, FROM_OLD, BROKEN])
    wait_until_left(PLACE.at(OLD), FRONT.to_plain(), world.said.append)
    assert nodes[1].answers == [BROKEN]
    nodes[1].answers[:] = [FROM_OLD]
    world.balancer.settle_within = 0.05
    with pytest.raises(RetirementError) as raised:
        wait_until_left(PLACE.at(OLD), FRONT.to_plain(), world.said.append)
    assert f"answers still from {OLD}" in raised.value.facts[0]


def test_nobody_is_asked_where_traffic_goes_nowhere(world: World) -> None:
    """A destroy takes the traffic away first, and declares nothing."""
    nodes = world.start([FROM_OLD])
    wait_until_left(PLACE.at(OLD), None, world.said.append)
    world.balancer.weights = {}
    wait_until_left(PLACE.at(OLD), FRONT.to_plain(), world.said.append)
    assert nodes[0].asked == []
