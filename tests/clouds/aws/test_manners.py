"""The emulated cloud's own manners: each is there, and can be turned off."""

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from clouds.aws.emulation.cloud_names import NODES
from harness.aws.aws_world import REGION, SETTINGS, World, make_target
from harness.aws.cloud import POLITE, Cloud, find_calls, start_cloud
from harness.aws.waits import wait_until_served
from harness.client import Client
from harness.cloud_world import WEB
from harness.local_stack import wait_until
from immutable_servers.contract.asking import ask_every_node
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.answers import SETTLED
from immutable_servers.targets.aws.names import make_name
from immutable_servers.targets.place import Place
from immutable_servers.traffic.canary import Canary, Watch, judge

PORT, LISTENER = 8000, 8080
SHOWN_SECONDS = 30
"""How long what was brought about may take to be seen."""
REFUSING = f"{REGION}a"


@pytest.fixture
def cloud(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    """Return a cloud without any of them, which our code asks in this process."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud, cloud.lead_here():
        monkeypatch.setattr(time, "time", cloud.find_time)
        cloud.set_manners(**POLITE)
        yield cloud


@pytest.fixture
def world(cloud: Cloud) -> World:
    """Return the account's balancer."""
    made = World(port=PORT)
    made.make_balancer()
    assert cloud.read_new()
    return made


def make_generation(world: World, generation: str, *, serving: bool = True) -> Scope:
    """Make a generation, wait until it is healthy, and give it the traffic."""
    scope = replace(WEB, generation=generation)
    world.make_fleet(scope)
    target = make_target()
    wait_until(lambda: all(one.ok for one in target.fleets.find_health(scope)), SHOWN_SECONDS)
    if serving:
        target.balancer.set_traffic(scope, {generation: 100})
        wait_until_served(find_url(target), generation)
    return scope


def find_url(target: AwsTarget) -> str:
    """Return where the service answers."""
    return target.balancer.find_address(Route(WEB.service, LISTENER), WEB)


def ask_nodes(url: str) -> Sequence[tuple[int, tuple[str, ...]]]:
    """Return code and generation that each node answers now."""
    host = url.removeprefix("http://")
    return [(one.status, tuple(one.names)) for one in ask_every_node(url, host, "/")]


def test_each_node_follows_in_its_own_time(cloud: Cloud, world: World) -> None:
    """The API says the new generation while nodes send to the old one, and 503 once that left."""
    old = make_generation(world, "11111111")
    new = make_generation(world, "22222222", serving=False)
    target = make_target()
    url = find_url(target)
    cloud.set_manners(follow=3600.0)
    target.balancer.set_traffic(new, {new.generation: 100})
    assert target.balancer.find_weights(new) == {new.generation: 100}
    assert ask_nodes(url) == [(200, ("web-11111111",))] * NODES
    late = [event["late"] for event in cloud.read_new() if event["event"] == "follow"][-NODES:]
    assert len({*late}) == NODES
    target.balancer._start_drain(old, 1)
    wait_until(lambda: ask_nodes(url) == [(503, ())] * NODES, SHOWN_SECONDS)


def test_a_balancer_has_an_address_for_each_node(world: World) -> None:
    """Its name leads to all of them."""
    del world
    name = find_url(make_target()).split("/")[2].partition(":")[0]
    assert len({one[4][0] for one in socket.getaddrinfo(name, LISTENER)}) == NODES


def test_a_read_may_say_what_was(cloud: Cloud, world: World) -> None:
    """For some seconds after a write; our code reads on until it sees what it wrote."""
    old = make_generation(world, "11111111")
    new = make_generation(world, "22222222", serving=False)
    target = make_target()
    cloud.set_manners(stale=2.0)
    cloud.read_new()
    for scope in (new, old, new):
        target.balancer.set_traffic(scope, {scope.generation: 100})
    events = cloud.read_new()
    assert len(find_calls(events, "elbv2.ModifyListener")) == 3
    assert len(find_calls(events, "elbv2.DescribeListeners")) > 3 * 3
    wait_until(lambda: target.balancer.find_weights(new) == {new.generation: 100}, SHOWN_SECONDS)


def test_calls_are_refused_for_their_number(cloud: Cloud, world: World) -> None:
    """With each service's own code; they are made again."""
    cloud.set_manners(throttled=0.5)
    cloud.read_new()
    target = make_target(attempts=12)
    assert [*target.fleets.find(WEB)] == []
    for _ in range(3):
        assert target.api.find_security_groups() != []
        assert target.fleets.balancer.standing.find_balancer(WEB) is not None
    refused = [event for event in cloud.read_new() if event.get("code") == 400]
    assert refused
    del world


def test_a_zone_without_room(cloud: Cloud, world: World) -> None:
    """It refuses an instance by EC2's code; a group launches in the others, and says so."""
    ec2 = cloud.client("ec2")
    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]}
    (subnet,) = (one for one, zone in zones.items() if zone == REFUSING)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    shape = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    for code in ("InsufficientInstanceCapacity", "Unsupported"):
        cloud.set_manners(no_room={REFUSING: code})
        with pytest.raises(ClientError, match=code):
            ec2.run_instances(**shape, SubnetId=subnet)
    scope = make_generation(world, "11111111", serving=False)
    used = {zones[one["SubnetId"]] for one in make_target().fleets.find_instances(scope).values()}
    assert used == {f"{REGION}b", f"{REGION}c"}
    told = cloud.client("autoscaling").describe_scaling_activities(
        AutoScalingGroupName=make_name(scope)
    )["Activities"]
    assert REFUSING in told[0]["StatusMessage"]


@pytest.mark.parametrize(("idle", "breaks"), [(30.0, True), (75.0, False)])
def test_a_server_that_closes_idle_connections_first_breaks_answers(
    cloud: Cloud, world: World, idle: float, *, breaks: bool
) -> None:
    """Nginx has to keep them for longer than the balancer does, whose time is 60 s."""
    cloud.set_manners(server_idle=idle, pace=0.02, race=0.2)
    make_generation(world, "11111111")
    client = Client(find_url(make_target()))

    def is_asked() -> bool:
        client.ask()
        return bool(client.failures) or client.answers > 60

    wait_until(is_asked, SHOWN_SECONDS)
    assert bool(client.failures) == breaks, client.failures


@pytest.mark.parametrize("state", ["hung", "dying"])
def test_servers_that_give_no_answer_are_errors(cloud: Cloud, world: World, state: str) -> None:
    """CloudWatch counts no code of theirs; a canary sees the silence once the minute is over."""
    cloud.set_manners(pace=0.005)
    scope = make_generation(world, "11111111")
    watch = Watch(Place("aws", dict(SETTINGS), scope))
    (cloud.folder / f"{state}-").touch()
    client = Client(find_url(make_target()))
    for _ in range(3):
        client.ask()
    assert len(client.failures) == 3
    wait_until(lambda: watch.look().requests == 3, SHOWN_SECONDS)
    assert (watch.seen.errors, watch.seen.unsettled) == (0, 3)
    cloud.pass_by(SETTLED)
    canary = Canary(10, 1, 0.01, 3)
    assert judge(watch.look(), canary) == "3 of 3 answers were errors, at most 1.0 % may be"
    assert find_metrics(cloud) >= {"RequestCount", "HTTPCode_ELB_5XX_Count"}
    assert not {one for one in find_metrics(cloud) if one.startswith("TargetConnection")}


def find_metrics(cloud: Cloud) -> set[str]:
    """Return the names of the numbers that CloudWatch has."""
    found = cloud.client("cloudwatch").list_metrics(Namespace="AWS/ApplicationELB")["Metrics"]
    return {one["MetricName"] for one in found}


def test_a_drain_takes_its_whole_time(cloud: Cloud, world: World) -> None:
    """A server is `draining` for all of the delay, though nobody asks it anything."""
    long, short = (make_generation(world, n * 8, serving=False) for n in "12")
    target = make_target()
    find_targets = target.fleets.balancer.find_targets
    began = time.monotonic()
    target.balancer._start_drain(long, 3000)
    target.balancer._start_drain(short, 2)
    wait_until(lambda: not find_targets(short), SHOWN_SECONDS)
    assert time.monotonic() - began >= 2
    assert {state for state, _ in find_targets(long).values()} == {"draining"}
    del cloud


def test_lists_come_in_pages(cloud: Cloud, world: World) -> None:
    """One thing a page, in no order of ours; our code asks for all of them."""
    scopes = [make_generation(world, f"{n}" * 8, serving=False) for n in range(1, 8)]
    cloud.set_manners(page=1)
    cloud.read_new()
    target = make_target()
    assert {*target.fleets.find(WEB)} == {scope.generation for scope in scopes}
    asked = find_calls(cloud.read_new(), "autoscaling.DescribeAutoScalingGroups")
    assert len(asked) == len(scopes)
    rules = target.fleets.balancer.standing.find_rules(world.listener)
    assert len(rules) == len(scopes)
    priorities = [int(rule["Priority"]) for rule in rules]
    assert priorities != sorted(priorities)


def test_a_manner_that_there_is_not_is_refused(cloud: Cloud) -> None:
    """A test that names one has not tested anything."""
    cloud.set_manners(folow=60)
    with pytest.raises((ClientError, ResponseParserError)):
        cloud.client("ec2").describe_vpcs()


def test_what_has_gone_is_deleted_again(cloud: Cloud, world: World) -> None:
    """Lists that still show a generation's things do not fail the next one to delete them."""
    scope = make_generation(world, "aaaaaaaa", serving=False)
    cloud.set_manners(stale=2.0)
    for _ in range(4):
        make_target().fleets.delete(scope)
