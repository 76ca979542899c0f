"""The aws target's load balancer, on an emulated account: what it points to and how it is moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from clouds.shared_tests.traffic import OLD, Traffic
from harness.aws.aws_world import World, make_target, start_emulation
from harness.cloud_world import STACK, WEB
from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws.names import list_tags, make_tags


@pytest.fixture
def world() -> Iterator[World]:
    """Yield an emulated account with a load balancer."""
    with start_emulation():
        made = World()
        made.make_balancer()
        yield made


class TestTraffic(Traffic):
    """A fleet that goes takes group, rule, template and firewall with it."""


def test_before_the_first_generation_nobody_serves(world: World) -> None:
    """A listener that answers 503 points nowhere, and the test rule is no traffic."""
    world.make_fleet(OLD)
    assert make_target().balancer.find_weights(WEB) == {}


def test_one_move_is_one_change_of_the_listener(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving traffic calls one operation that changes anything."""
    target = make_target()
    world.make_fleet(OLD)
    called: list[str] = []
    original = type(target.api).call

    def record(api: object, service: str, operation: str, **arguments: object) -> object:
        called.append(operation)
        return original(api, service, operation, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(target.api), "call", record)
    target.balancer.set_traffic(WEB, {"11111111": 100})
    assert [one for one in called if not one.startswith("describe_")] == ["modify_listener"]


@pytest.mark.parametrize(
    ("settings", "scheme", "port"),
    [({}, "http", 80), ({"certificate": "arn:aws:acm:x"}, "https", 443)],
)
def test_its_nodes_are_asked_by_its_own_name(
    world: World, settings: dict[str, str], scheme: str, port: int
) -> None:
    """A user's host name may lead elsewhere, or nowhere yet; a port is that of the route."""
    (balancer,) = world.client("elbv2").describe_load_balancers()["LoadBalancers"]
    found, name = make_target(**settings).balancer, balancer["DNSName"]
    assert found.find_front(Route("web", 0, "shop.example.com"), WEB) == f"{scheme}://{name}"
    assert found.find_front(Route("web", port), WEB) == f"{scheme}://{name}"
    assert found.find_front(Route("web", 8080), WEB) == f"{scheme}://{name}:8080"


def test_a_strange_group_is_an_error(world: World) -> None:
    """A listener that somebody pointed elsewhere by hand is not taken for nobody."""
    group = world.client("elbv2").create_target_group(
        Name="strange", Protocol="HTTP", Port=80, VpcId=world.vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    action = {"Type": "forward", "TargetGroupArn": group}
    world.client("elbv2").modify_listener(ListenerArn=world.listener, DefaultActions=[action])
    with pytest.raises(TrafficError, match="strange"):
        make_target().balancer.find_weights(WEB)


def make_host_rule(world: World, scope: Scope, host: str) -> None:
    """Make a service's pointer by host name, on a shared listener, which points nowhere."""
    shared = world.make_listener(80, STACK)
    closed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    world.client("elbv2").create_rule(
        ListenerArn=shared,
        Priority=40001,
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
        Actions=[closed],
        Tags=list_tags(make_tags(scope)),
    )


def test_services_by_host_name_have_rules(world: World) -> None:
    """A service by host name is pointed by its rule on the shared listener, and only by that."""
    api = replace(WEB, service="api")
    make_host_rule(world, api, "api.example.com")
    target = make_target()
    world.make_fleet(replace(api, generation="11111111"))
    assert target.balancer.find_weights(api) == {}
    target.balancer.set_traffic(api, {"11111111": 100})
    assert target.balancer.find_weights(api) == {"11111111": 100}
    assert target.balancer.find_weights(WEB) == {}


def test_a_listener_that_is_gone_and_still_listed_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route goes from a port to a host name, and AWS lists the removed listener for a while."""
    make_host_rule(world, WEB, "web.example.com")
    target = make_target()
    world.make_fleet(OLD)
    target.balancer.set_traffic(WEB, {OLD.generation: 100})
    standing = target.balancer.standing
    old_answers, now = [standing.find_listeners(WEB)], standing.find_listeners

    def find_late(scope: Scope) -> Sequence[Mapping[str, Any]]:
        return old_answers.pop() if old_answers else now(scope)

    standing.find_pointers(WEB)
    monkeypatch.setattr(standing, "find_listeners", find_late)
    target.balancer.remove_pointer(WEB, Route("web", port=8080), stays=True)
    assert not old_answers
    monkeypatch.undo()
    ports = [listener["Port"] for listener in standing.find_listeners(WEB)]
    assert ports == [80]
    assert make_target().balancer.find_weights(WEB) == {OLD.generation: 100}


def test_a_drained_fleet_is_leaving(world: World) -> None:
    """Drained servers are out of their group, and a fleet on its way out is never used again."""
    target = make_target()
    group = world.make_fleet(OLD)
    said: list[str] = []
    target.balancer.drain(OLD, 5, said.append)
    elb = world.client("elbv2")
    assert elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"] == []
    attributes = elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "5"} in attributes
    assert target.fleets.find(WEB)["11111111"].leaving
    assert said == ["drained"]
