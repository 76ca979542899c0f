"""Moves of traffic on an emulated account whose pools follow late: what its users get meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest

from clouds.digitalocean.emulation.refusals import BUSY
from harness.cloud_world import WEB
from harness.digitalocean.cloud import REGION, start_cloud
from harness.digitalocean.do_world import EVERYWHERE, LAUNCH, OUTWARD, ROUTE, World, enter_world
from immutable_bench.client import Answer, start_clients
from immutable_servers.contract.front import Reply
from immutable_servers.contract.values import Route
from immutable_servers.errors import SetupError, StoppedError, TrafficError
from immutable_servers.system import stopping
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud import pool
from immutable_servers.targets.cloud.pool import Pace, find_failure
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.names import (
    make_name,
    name_server,
    tag_live,
    tag_reserved,
    tag_service,
)

OLD, NEW = (replace(WEB, generation=f"{number}" * 8) for number in (1, 2))
TO_OLD, TO_NEW = {OLD.generation: 100}, {NEW.generation: 100}
SHOWN_SECONDS = 30.0
"""How long what was brought about may take to be seen."""
NEVER = 1e6
"""Seconds, of which even a small part is longer than any test."""
WANTED = 30_000


class Late(NamedTuple):
    """How late, and how much.

    Attributes:
        follow: The latest that a pool follows, in seconds.
        late_nodes: The latest that a node then knows of it.
        check: How often a node asks a droplet for its health.
        rate: Requests in a second.
    """

    follow: float
    late_nodes: float
    check: float
    rate: int


QUICK, REAL = Late(2.0, 0.3, 0.05, 60), Late(20.0, 5.0, 3.0, 120)


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield an account whose balancer leads to nobody, beside two generations."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud, enter_world(cloud) as world:
        world.make_balancer()
        for scope in (OLD, NEW):
            world.make_fleet(scope)
        yield world


def make_balancer(world: World, sure: float = 0.1) -> DoBalancer:
    """Return the role, which looks often."""
    balancer = world.make_target().balancer
    balancer.pace = Pace(follow_poll=0.1, sure=sure, answers_within=5.0)
    return balancer


def see(what: str, look: Callable[[], object]) -> None:
    """Wait until something is so."""
    assert wait_until(what, SHOWN_SECONDS, look, every=0.05), what


def visit(world: World) -> str:
    """Return the generation that answers a visitor, or the code of a refusal."""
    try:
        return world.ask().removeprefix("web-")
    except HTTPError as error:
        return str(error.code)


def serve_old(world: World, sure: float = 0.1) -> DoBalancer:
    """Have the old generation serve alone."""
    balancer = make_balancer(world, sure)
    balancer.set_traffic(WEB, TO_OLD)
    see("the old ones serve", lambda: {visit(world) for _ in range(8)} == {OLD.generation})
    return balancer


def move_under_load(world: World, late: Late, *, sure: float, least: int = 0) -> list[Answer]:
    """Move to the new ones, back to the standby, and forward; return what users were answered."""
    balancer = serve_old(world, sure)
    world.cloud.set_manners(follow=late.follow, late_nodes=late.late_nodes, check=late.check)
    address, began = balancer.find_address(ROUTE, WEB), time.monotonic()
    with start_clients(address, late.rate) as clients:
        for weights in (TO_NEW, TO_OLD, TO_NEW):
            balancer.set_traffic(WEB, weights)
            assert balancer.find_weights(WEB) == weights
        rest = least / late.rate - (time.monotonic() - began) + 5.0
        wait_until("the rest of the answers", max(rest, 2.0), lambda: False, every=0.5)
    assert {visit(world) for _ in range(8)} == {NEW.generation}
    return clients.answers


def list_failures(answers: list[Answer]) -> list[str]:
    """Return why requests failed."""
    return [one.why for one in answers if not one.ok]


def test_no_request_fails_while_the_pool_follows_late(world: World) -> None:
    """A move, a way back to the standby and the move again: each request is answered."""
    answers = move_under_load(world, QUICK, sure=0.2)
    assert list_failures(answers) == []
    assert {one.generation for one in answers} == {OLD.generation, NEW.generation}


@pytest.mark.long
def test_no_request_of_thirty_thousand_fails_while_the_pool_is_late(world: World) -> None:
    """The same with a pool that follows up to 20 s late, and nodes up to 5 s after it."""
    answers = move_under_load(world, REAL, sure=Pace().sure, least=WANTED)
    print(f"{len(answers)} answers, {len(list_failures(answers))} failed")  # noqa: T201
    assert list_failures(answers) == []
    assert len(answers) >= WANTED


def test_new_ones_that_answer_badly_give_traffic_back(world: World) -> None:
    """They pass the balancer's checks, and fail once they serve: the old ones go on alone."""
    balancer = serve_old(world)
    seen: list[str] = []

    def fail_with_new(replies: Sequence[Reply], name: str = "") -> str:
        names = {one for reply in replies for one in reply.names}
        seen.extend(names)
        return "500" if f"web-{NEW.generation}" in names else find_failure(replies, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "find_failure", fail_with_new)
        with pytest.raises(TrafficError, match="given back"):
            balancer.set_traffic(WEB, TO_NEW)
    assert f"web-{NEW.generation}" in seen
    assert balancer.find_weights(WEB) == TO_OLD
    see("the old ones serve", lambda: {visit(world) for _ in range(8)} == {OLD.generation})


def test_new_ones_that_are_sick_never_serve(world: World) -> None:
    """The balancer sends them nothing: the old ones stay, and no request fails."""
    balancer = serve_old(world)
    (world.cloud.folder / f"sick-{NEW.generation}").touch()
    with start_clients(balancer.find_address(ROUTE, WEB), QUICK.rate) as clients:
        with pytest.raises(TrafficError, match="given back") as caught:
            balancer.set_traffic(WEB, TO_NEW)
        assert "gave no answer" in caught.value.facts[0]
        assert balancer.find_weights(WEB) == TO_OLD
    assert list_failures(clients.answers) == []


def test_a_killed_move_is_ended_by_the_next_one(world: World) -> None:
    """Both have the tag then: either can have all of it, and nobody is refused meanwhile."""
    balancer = serve_old(world)
    address = balancer.find_address(ROUTE, WEB)
    with start_clients(address, QUICK.rate) as clients:
        for weights in (TO_OLD, TO_NEW):
            world.tag(tag_live(WEB), *(one["id"] for one in list_new(world)))
            assert balancer.find_weights(WEB) == {OLD.generation: 50, NEW.generation: 50}
            balancer.set_traffic(WEB, weights)
            assert balancer.find_weights(WEB) == weights
    assert list_failures(clients.answers) == []


def list_new(world: World) -> list[dict[str, Any]]:
    """Return the droplets of the new generation."""
    return [*world.find_droplets(NEW).values()]


def test_a_stop_amid_a_move_leaves_all_serving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool does not follow before the stop: nobody leaves; the next run moves on."""
    balancer = serve_old(world)
    stop = threading.Event()
    monkeypatch.setattr(stopping, "STOP", stop)
    world.cloud.set_manners(follow=NEVER)
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(StoppedError):
        balancer.set_traffic(WEB, TO_NEW)
    stop.clear()
    assert balancer.find_weights(WEB) == {OLD.generation: 50, NEW.generation: 50}
    world.cloud.set_manners(follow=0.0)
    world.tag(tag_live(WEB), list_new(world)[0]["id"], verb="DELETE")  # a change, which it follows
    balancer.set_traffic(WEB, TO_NEW)
    see("the new ones serve", lambda: {visit(world) for _ in range(8)} == {NEW.generation})


def test_nobody_is_a_503(world: World) -> None:
    """Without a droplet in the pool the balancer refuses, as before the first generation."""
    assert visit(world) == "503"
    balancer = serve_old(world)
    balancer.set_traffic(WEB, {})
    see("nobody serves", lambda: visit(world) == "503")
    assert balancer.find_weights(WEB) == {}


def test_what_is_busy_is_asked_again_and_a_missing_scope_is_said(world: World) -> None:
    """Both are a 403: the words tell them apart, and what serves goes on serving."""
    balancer = serve_old(world)
    world.cloud.set_fault("tags.assign_resources", "forbidden", message=BUSY, code=403)
    balancer.set_traffic(WEB, TO_NEW)
    assert balancer.find_weights(WEB) == TO_NEW
    world.cloud.deny("tag:create")
    with pytest.raises(SetupError, match="tag:create") as caught:
        balancer.set_traffic(WEB, TO_OLD)
    assert "not authorized" in str(caught.value)
    assert balancer.find_weights(WEB) == TO_NEW


def test_a_droplet_that_is_off_gets_no_traffic(world: World) -> None:
    """The others of its generation do, and the move waits for them alone."""
    balancer = serve_old(world)
    off = world.find_droplets(NEW)[name_server(NEW, 1)]["id"]
    world.cloud.put("droplets", off, {"status": "off"})
    balancer.set_traffic(WEB, TO_NEW)
    held = world.find_balancer()["droplet_ids"]
    assert held == [world.find_droplets(NEW)[name_server(NEW, 2)]["id"]]


# without a balancer
RESERVED = Route("web", LAUNCH.port, reserved_ip=True)


@pytest.fixture
def reserved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield an account with a reserved address for `web`, beside two generations of one server."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud, enter_world(cloud) as world:
        address = world.call("POST", "reserved_ips", {"region": REGION})["reserved_ip"]["ip"]
        for tag in (tag_reserved(WEB, address), tag_service(WEB)):
            world.call("POST", "tags", {"name": tag})
        rule = {"protocol": "tcp", "ports": str(LAUNCH.port), "sources": EVERYWHERE}
        firewall = {"name": make_name(WEB), "tags": [tag_service(WEB)], "inbound_rules": [rule]}
        world.call("POST", "firewalls", {**firewall, "outbound_rules": OUTWARD})
        for scope in (OLD, NEW):
            world.make_fleet(scope, servers=1)
        yield world


def test_a_reserved_ip_leads_to_one_server_at_a_time(reserved: World) -> None:
    """It moves, goes back and leaves in one action each; visitors meet whom it leads to."""
    balancer = make_balancer(reserved)
    address = balancer.find_front(RESERVED, WEB)
    assert balancer.find_weights(WEB) == {}
    for weights in (TO_OLD, TO_NEW, TO_OLD):
        balancer.set_traffic(WEB, weights)
        assert balancer.find_weights(WEB) == weights
    with start_clients(address, 20) as clients:
        wait_until("some answers", 1.0, lambda: False, every=0.5)
    assert list_failures(clients.answers) == []
    assert {one.generation for one in clients.answers} == {OLD.generation}
    balancer.set_traffic(WEB, {})
    assert balancer.find_weights(WEB) == {}


def test_a_reserved_ip_that_cannot_move_stays(reserved: World) -> None:
    """An action that ends errored is said, and the old server goes on serving."""
    balancer = make_balancer(reserved)
    balancer.set_traffic(WEB, TO_OLD)
    reserved.cloud.fail_action("assign")
    with pytest.raises(TrafficError, match="errored"):
        balancer.set_traffic(WEB, TO_NEW)
    assert balancer.find_weights(WEB) == TO_OLD


def test_a_server_that_answers_badly_gets_no_address_and_is_seen(reserved: World) -> None:
    """Only our code checks it: the new one is asked before, the one that serves by its health."""
    balancer = make_balancer(reserved)
    balancer.set_traffic(WEB, TO_OLD)
    assert [one.up for one in balancer.find_members(OLD).values()] == [True]
    for scope in (OLD, NEW):
        (reserved.cloud.folder / f"sick-{scope.generation}").touch()
    with pytest.raises(TrafficError, match="answers badly"):
        balancer.set_traffic(WEB, TO_NEW)
    assert balancer.find_weights(WEB) == TO_OLD
    assert [one.detail for one in balancer.find_members(OLD).values()] == ["500"]
