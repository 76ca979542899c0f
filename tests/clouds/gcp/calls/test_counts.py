"""What Cloud Monitoring's numbers of a generation say, and whom its front ends send requests."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.cloud_world import WEB
from harness.gcp.gcp_world import ROUTE, SOON, World
from immutable_servers.contract.front import Front, Reply
from immutable_servers.contract.values import Answers
from immutable_servers.errors import SetupError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.answers import MINUTES
from immutable_servers.targets.gcp.names import HEADER, make_name

OLD, NEW = replace(WEB, generation="11111111"), replace(WEB, generation="22222222")
FRONT = Front(ROUTE, "/healthz", 1.0)


def ask(world: World) -> Reply:
    """Ask the service's address once."""
    (reply,) = world.make_target().balancer.prepare_question(FRONT, WEB)()
    return reply


def test_answers_are_counted_by_minute_and_class(world: World) -> None:
    """A server error is one, and so is what nobody answered; other generations have their own."""
    for scope in (OLD, NEW):
        world.make_fleet(scope, servers=1)
        world.wait_until_healthy(scope)
    world.open_front()
    balancer = world.make_target().balancer
    assert len(balancer.find_answers(OLD)) == MINUTES
    assert add_up(balancer.find_answers(OLD)) == Answers(0, 0)
    balancer.set_traffic(WEB, {"11111111": 100})
    assert wait_until("a front end", SOON, lambda: ask(world).names == ("web-11111111",), every=0.1)
    for _ in range(5):
        assert ask(world).status == 200
    found = wait_until(
        "numbers", SOON, lambda: add_up(balancer.find_answers(OLD)).requests >= 6, every=0.2
    )
    assert found
    assert add_up(balancer.find_answers(OLD)).errors == 0
    assert add_up(balancer.find_answers(NEW)) == Answers(0, 0)


def test_what_a_server_never_answered_is_an_error(world: World) -> None:
    """It has no code of its own: the class of its answer is 0."""
    world.make_fleet(OLD, servers=1)
    world.wait_until_healthy(OLD)
    service = world.call("backendServices", "get", backendService=make_name(OLD))
    body = {"timeoutSec": 1, "fingerprint": service["fingerprint"]}
    world.call("backendServices", "patch", backendService=make_name(OLD), body=body)
    world.open_front()
    balancer = world.make_target().balancer
    balancer.set_traffic(WEB, {"11111111": 100})
    assert wait_until("a front end", SOON, lambda: ask(world).status == 200, every=0.1)
    (world.cloud.folder / "hung-11111111").touch()
    (reply,) = balancer.prepare_question(replace(FRONT, health="/"), WEB)()
    assert reply.failure
    assert wait_until(
        "numbers", SOON, lambda: add_up(balancer.find_answers(OLD)).errors == 1, every=0.2
    )


def add_up(answers: Mapping[str, Answers]) -> Answers:
    """Return the sum over all minutes."""
    return Answers(
        sum(one.requests for one in answers.values()), sum(one.errors for one in answers.values())
    )


def test_the_balancer_names_who_answered_and_refuses_for_nobody(world: World) -> None:
    """The header is the balancer's own; while nobody serves it answers 503 and names nobody."""
    world.make_fleet(OLD, servers=1)
    world.wait_until_healthy(OLD)
    world.open_front()
    balancer = world.make_target().balancer
    assert wait_until("a front end", SOON, lambda: ask(world).status, every=0.1) == 503
    assert ask(world).names == ()
    balancer.set_traffic(WEB, {"11111111": 100})
    assert wait_until("a move", SOON, lambda: ask(world).names == ("web-11111111",), every=0.1)
    balancer.set_traffic(WEB, {})
    assert wait_until("nobody", SOON, lambda: ask(world).status == 503, every=0.1)


def test_only_the_whole_header_leads_to_a_candidate(world: World) -> None:
    """Who knows a candidate's name gets what all get; the value that the map holds leads there."""
    for scope in (OLD, NEW):
        world.make_fleet(scope, servers=1)
        world.wait_until_healthy(scope)
    world.open_front()
    balancer = world.make_target().balancer
    balancer.set_traffic(WEB, {"11111111": 100})
    assert wait_until("a move", SOON, lambda: ask(world).names == ("web-11111111",), every=0.1)
    address = balancer.find_front(ROUTE, WEB)
    token = balancer.find_token(NEW)
    assert world.ask(address, {HEADER: "web-22222222"}) == "web-11111111"
    assert world.ask(address, {HEADER: f"{token[:-1]}x"}) == "web-11111111"
    assert world.ask(address, {HEADER: token}) == "web-22222222"


def test_front_ends_are_seen_to_lead_to_a_candidate_before_any_visitor(world: World) -> None:
    """They are asked by its header until all that answer know it, while another one serves."""
    world.make_fleet(OLD, servers=1)
    world.wait_until_healthy(OLD)
    world.open_front()
    balancer = world.make_target().balancer
    balancer.set_traffic(WEB, {"11111111": 100})
    assert wait_until("a move", SOON, lambda: ask(world).names == ("web-11111111",), every=0.1)
    world.cloud.set_manners(follow=2.0)
    world.make_fleet(NEW, servers=1)
    world.wait_until_healthy(NEW)
    said: list[str] = []
    balancer.wait_until_led(NEW, FRONT, said.append, named=True)
    address, header = balancer.find_front(ROUTE, WEB), {HEADER: balancer.find_token(NEW)}
    assert {world.ask(address, header) for _ in range(20)} == {"web-22222222"}
    assert ask(world).names == ("web-11111111",)
    assert [line.rpartition(" after ")[0] for line in said] == ["front ends lead to it"]
    assert header[HEADER] not in "".join(said)


def test_an_answer_that_names_nobody_proves_no_way(world: World) -> None:
    """Another generation may have given it: no more is said than that somebody answers."""
    world.make_fleet(OLD, servers=1)
    service = world.call("backendServices", "get", backendService=make_name(OLD))
    body = {"customResponseHeaders": [], "fingerprint": service["fingerprint"]}
    world.call("backendServices", "patch", backendService=make_name(OLD), body=body)
    world.wait_until_healthy(OLD)
    world.open_front()
    said: list[str] = []
    world.make_target().balancer.wait_until_led(OLD, FRONT, said.append, named=False)
    assert [line.partition(" after ")[0] for line in said] == ["its address answers"]


def test_front_ends_that_cannot_be_seen_to_lead_are_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fail nothing: an address that nobody answers at, another answer, no way from here."""
    world.make_fleet(OLD, servers=1)
    world.wait_until_healthy(OLD)
    balancer, said = world.make_target().balancer, list[str]()
    monkeypatch.setattr(balancer, "leads_within", 0.1)
    balancer.wait_until_led(OLD, FRONT, said.append, named=True)
    world.open_front()
    assert wait_until("a front end", SOON, lambda: ask(world).status, every=0.1) == 503
    balancer.wait_until_led(OLD, FRONT, said.append, named=False)
    monkeypatch.setattr("immutable_servers.targets.gcp.balancer.SILENT_SECONDS", 0.0)
    monkeypatch.setattr(balancer, "leads_within", SOON)
    monkeypatch.setattr(balancer, "find_front", lambda *_words: "http://255.255.255.255:8080")
    balancer.wait_until_led(OLD, FRONT, said.append, named=True)
    assert ["refused" in said[0], "from web-11111111" in said[1], "cannot be asked" in said[2]] == [
        True
    ] * 3


def test_monitoring_that_is_off_is_said(world: World) -> None:
    """A canary without numbers says which API to enable, and gives nothing to a generation."""
    world.make_backend(OLD)
    world.cloud.disable("monitoring")
    with pytest.raises(SetupError, match="An API is not enabled"):
        world.make_target().balancer.find_answers(OLD)
