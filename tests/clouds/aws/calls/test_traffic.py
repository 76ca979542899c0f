"""The aws target's load balancer, on an emulated account: what it points to and how it is moved."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.aws.aws_world import STACK, WEB, World, make_target, start_emulation
from immutable_servers.contract.values import Scope
from immutable_servers.errors import RetirementError, TrafficError
from immutable_servers.targets.aws.names import list_tags, make_name, make_tags

OLD, NEW = replace(WEB, generation="11111111"), replace(WEB, generation="22222222")


@pytest.fixture
def world() -> Iterator[World]:
    """Yield an emulated account with a load balancer."""
    with start_emulation():
        made = World()
        made.make_balancer()
        yield made


def test_before_the_first_generation_nobody_serves(world: World) -> None:
    """A listener that answers 503 points nowhere, and the test rule is no traffic."""
    world.make_fleet(OLD)
    assert make_target().balancer.find_weights(WEB) == {}


def test_traffic_is_moved_by_weights_and_read_back(world: World) -> None:
    """All to one, a share to another, all to that one, none: each is what the balancer says."""
    target = make_target()
    world.make_fleet(OLD)
    world.make_fleet(NEW)
    for weights in ({"11111111": 100}, {"11111111": 90, "22222222": 10}, {"22222222": 100}, {}):
        target.balancer.set_traffic(WEB, weights)
        assert target.balancer.find_weights(WEB) == weights


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


def test_a_group_without_a_healthy_server_gets_no_traffic(world: World) -> None:
    """A missing group, an empty one and one whose servers are all sick are refused."""
    target = make_target()
    world.make_fleet(OLD)
    target.balancer.set_traffic(WEB, {"11111111": 100})
    with pytest.raises(TrafficError, match="missing or empty"):
        target.balancer.set_traffic(WEB, {"22222222": 100})
    world.make_fleet(NEW, servers=0)
    with pytest.raises(TrafficError, match="no healthy server"):
        target.balancer.set_traffic(WEB, {"22222222": 100})
    assert target.balancer.find_weights(WEB) == {"11111111": 100}


def test_a_strange_group_is_an_error(world: World) -> None:
    """A listener that somebody pointed elsewhere by hand is not taken for nobody."""
    group = world.client("elbv2").create_target_group(
        Name="strange", Protocol="HTTP", Port=80, VpcId=world.vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    action = {"Type": "forward", "TargetGroupArn": group}
    world.client("elbv2").modify_listener(ListenerArn=world.listener, DefaultActions=[action])
    with pytest.raises(TrafficError, match="strange"):
        make_target().balancer.find_weights(WEB)


def test_services_by_host_name_have_rules(world: World) -> None:
    """A service by host name is pointed by its rule on the shared listener, and only by that."""
    api = replace(WEB, service="api")
    shared = world.make_listener(80, STACK)
    host = {"Field": "host-header", "HostHeaderConfig": {"Values": ["api.example.com"]}}
    closed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    world.client("elbv2").create_rule(
        ListenerArn=shared,
        Priority=40001,
        Conditions=[host],
        Actions=[closed],
        Tags=list_tags(make_tags(api)),
    )
    target = make_target()
    world.make_fleet(replace(api, generation="11111111"))
    assert target.balancer.find_weights(api) == {}
    target.balancer.set_traffic(api, {"11111111": 100})
    assert target.balancer.find_weights(api) == {"11111111": 100}
    assert target.balancer.find_weights(WEB) == {}


def test_another_stack_is_not_seen(world: World) -> None:
    """The same service of another stack or project has no traffic, fleets and servers here."""
    world.make_fleet(OLD)
    make_target().balancer.set_traffic(WEB, {"11111111": 100})
    for other in (replace(WEB, stack="prod"), replace(WEB, project="else")):
        target = make_target()
        assert target.balancer.find_weights(other) == {}
        assert target.fleets.find(other) == {}
        assert target.fleets.find_servers(replace(other, generation="11111111")) == []


def test_what_serves_is_not_deleted(world: World) -> None:
    """A fleet with traffic is refused; without it group, rule, template and firewall go."""
    target = make_target()
    world.make_fleet(OLD)
    target.balancer.set_traffic(WEB, {"11111111": 100})
    with pytest.raises(RetirementError, match="100 %"):
        target.fleets.delete(OLD)
    assert len(target.fleets.find_servers(OLD)) == 2
    target.balancer.set_traffic(WEB, {})
    target.fleets.delete(OLD)
    assert target.fleets.find(WEB) == {}
    elb, ec2 = world.client("elbv2"), world.client("ec2")
    assert elb.describe_target_groups()["TargetGroups"] == []
    assert len(elb.describe_rules(ListenerArn=world.listener)["Rules"]) == 1
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    names = {one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    assert names == {"default"}


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


def test_a_scaled_fleet_keeps_its_count_as_a_standby(world: World) -> None:
    """What AWS scaled up does not shrink when traffic leaves it, and the next one starts alike.

    With traffic again it may shrink to the number that it was declared with.
    """
    target = make_target(scaling={"cpu": 50, "most": 8})
    world.make_fleet(OLD, servers=2)
    target.balancer.set_traffic(WEB, {"11111111": 100})
    autoscaling = world.client("autoscaling")
    name = make_name(OLD)
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=8, DesiredCapacity=4)
    assert target.fleets.count_live(NEW) == 4
    world.make_fleet(NEW, servers=4)
    target.balancer.set_traffic(WEB, {"22222222": 100})
    assert find_counts(world, OLD) == (4, 4)
    target.balancer.set_traffic(WEB, {"11111111": 50, "22222222": 50})
    target.balancer.set_traffic(WEB, {"11111111": 100})
    assert find_counts(world, OLD) == (2, 4)
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, DesiredCapacity=3)
    target.balancer.set_traffic(WEB, {"22222222": 100})
    assert find_counts(world, OLD) == (3, 3)


def find_counts(world: World, scope: Scope) -> tuple[int, int]:
    """Return the least number of servers that a fleet may have, and what it should have."""
    (group,) = world.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[make_name(scope)]
    )["AutoScalingGroups"]
    return group["MinSize"], group["DesiredCapacity"]
