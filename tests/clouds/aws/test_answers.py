"""What the target reads from Amazon: health, counts, and in words what went wrong."""

import threading
from collections.abc import Iterator, Mapping

import pytest
import tenacity

from harness.aws.aws_world import World, make_target
from harness.aws.cloud import POLITE, Cloud, start_cloud
from harness.client import Client
from harness.cloud_world import WEB
from immutable_servers.contract.values import Answers, Health, Route, Scope
from immutable_servers.errors import SetupError, StoppedError, TrafficError
from immutable_servers.system import stopping
from immutable_servers.targets.aws import AwsTarget

PORT = 8000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a cloud with a balancer; each test has a generation of its own."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud, cloud.lead_here():
        cloud.set_manners(**POLITE)
        yield cloud


@pytest.fixture(scope="module")
def world(shared: Cloud) -> World:
    """Return the account's balancer."""
    made = World(port=PORT)
    made.make_balancer()
    assert shared.read_new()
    return made


def find_health_when(
    target: AwsTarget, scope: Scope, state: str, *, servers: int = 2
) -> list[Health]:
    """Return the servers' health once each is as expected."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(
            lambda found: len(found) != servers or any(state not in h.detail for h in found)
        ),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(30),
    )
    return list(attempts(target.fleets.find_health, scope))


def test_no_capacity(shared: Cloud, world: World) -> None:
    """Health and trouble say why servers are missing; once there is room they come and serve."""
    scope = Scope(WEB.project, WEB.stack, WEB.service, "aaaaaaaa")
    said = "We currently do not have sufficient t3.small capacity."
    shared.set_fault("launch", "InsufficientInstanceCapacity", message=said, times=100)
    world.make_fleet(scope)
    target = make_target()
    (health,) = target.fleets.find_health(scope)
    assert (health.ok, health.detail.startswith("0 of 2 servers exist: " + said)) == (False, True)
    assert f"launch: {said} Launching EC2 instance failed." in target.fleets.find_trouble(scope)
    shared.set_fault("launch", "", times=0)
    assert [h.ok for h in find_health_when(target, scope, "healthy")] == [True, True]


def test_answers_are_counted(shared: Cloud, world: World) -> None:
    """What a generation answered through the balancer is read from CloudWatch, errors apart."""
    scope = Scope(WEB.project, WEB.stack, WEB.service, "cccccccc")
    world.make_fleet(scope)
    target = make_target()
    find_health_when(target, scope, "healthy")
    target.balancer.set_traffic(scope, {scope.generation: 100})
    route = Route(WEB.service, 8080)
    client = Client(target.balancer.find_address(route, scope))
    before = add_up(target.balancer.find_answers(scope))
    client.ask()
    (shared.folder / "sick-").touch()
    client.ask()
    (shared.folder / "sick-").unlink()
    assert (client.answers, client.failures) == (1, ["HTTP Error 500: Internal Server Error"])
    after = add_up(target.balancer.find_answers(scope))
    assert (after.requests - before.requests, after.errors - before.errors) == (2, 1)
    target.balancer.set_traffic(scope, {})


def add_up(answers: Mapping[str, Answers]) -> Answers:
    """Return the sum over an answer's hours."""
    return Answers(
        sum(a.requests for a in answers.values()), sum(a.errors for a in answers.values())
    )


def test_servers_that_answer_with_errors(shared: Cloud, world: World) -> None:
    """Each server's state and its last check are said, and traffic does not go there."""
    scope = Scope(WEB.project, WEB.stack, WEB.service, "bbbbbbbb")
    (shared.folder / "sick-").touch()
    world.make_fleet(scope)
    target = make_target()
    sick = find_health_when(target, scope, "[500]")
    assert [h.ok for h in sick] == [False, False]
    trouble = "\n".join(target.fleets.find_trouble(scope))
    assert all(f"{h.server}: running" in trouble for h in sick)
    before = target.balancer.find_weights(scope)
    with pytest.raises(TrafficError, match="no healthy"):
        target.balancer.set_traffic(scope, {scope.generation: 100})
    assert target.balancer.find_weights(scope) == before
    (shared.folder / "sick-").unlink()


def test_a_throttled_call(shared: Cloud, world: World) -> None:
    """It is tried again after a pause, and an error when AWS stays slow."""
    del world
    call = "autoscaling.DescribeAutoScalingGroups"
    shared.set_fault(call, "Throttling", message="Rate exceeded", times=2)
    assert make_target(attempts=5).fleets.find(Scope("other", "dev", "web")) == {}
    shared.set_fault(call, "Throttling", message="Rate exceeded", times=9)
    with pytest.raises(Exception, match="still slows down autoscaling:DescribeAutoScalingGroups"):
        make_target(attempts=2).fleets.find(Scope("other", "dev", "web"))
    shared.set_fault(call, "", times=0)


def test_a_throttled_call_hears_of_a_stop(shared: Cloud, world: World) -> None:
    """What botocore would try again for minutes is left alone: its pauses hear of nothing."""
    del world
    shared.set_fault("autoscaling.DescribeAutoScalingGroups", "Throttling", times=50)
    stopper = threading.Timer(0.5, stopping.stop)
    stopper.start()
    try:
        with pytest.raises(StoppedError, match="escribe_auto_scaling_groups of autoscaling was"):
            make_target(attempts=50).fleets.find(Scope("other", "dev", "web"))
    finally:
        stopping.STOP.clear()
        shared.set_fault("autoscaling.DescribeAutoScalingGroups", "", times=0)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredToken", "The security token has expired", "credentials have expired"),
        ("AuthFailure", "AWS was not able to validate them", "does not accept the credentials"),
        (
            "UnauthorizedOperation",
            "User: u is not authorized to perform: ec2:DescribeImages on resource: arn:x because",
            "A permission is missing: ec2:DescribeImages",
        ),
    ],
)
def test_credentials(shared: Cloud, code: str, message: str, said: str) -> None:
    """Expired, unknown and too weak credentials are told apart, with what to do."""
    shared.set_fault("ec2.DescribeImages", code, message=message)
    with pytest.raises(SetupError, match=said) as error:
        make_target().images.list()
    assert message in str(error.value)
