"""What AWS refuses for a while, in one zone or in one network, on an emulated account."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.client
import botocore.exceptions
import pytest

from harness.aws.aws_world import World, make_target, start_emulation
from harness.cloud_world import WEB
from immutable_servers.contract.values import FleetSpec, Launch
from immutable_servers.errors import LaunchError, SettingsError, SetupError
from immutable_servers.system.places import data_dir
from immutable_servers.targets.aws import api, balancer, fleets
from immutable_servers.targets.aws.faults import explain
from immutable_servers.targets.aws.names import make_name
from immutable_servers.targets.aws.network import find_network
from immutable_servers.targets.cloud import calls
from immutable_servers.targets.shared import ssh

GENERATION = replace(WEB, generation="3f2a9c41")
LAUNCH = Launch("small", 80, "/healthz")


class Refusals:
    """Refuses calls of an operation with codes, each once, before it lets them through.

    A refusal is a code, or `code: message`.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left: dict[str, list[str]] = {}
        self.called: list[tuple[str, dict[str, Any]]] = []
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
            self.called.append((operation, json.loads(json.dumps(arguments, default=str))))
            if self.left.get(operation):
                code, _, words = self.left[operation].pop(0).partition(": ")
                error = {"Code": code, "Message": words or "not now"}
                raise botocore.exceptions.ClientError({"Error": error}, operation)
            return original(client, operation, arguments)

        patch.setattr(botocore.client.BaseClient, "_make_api_call", call)

    def find(self, operation: str) -> list[dict[str, Any]]:
        """Return the arguments of each call of an operation."""
        return [arguments for name, arguments in self.called if name == operation]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield an emulated account with a balancer and a fleet; nothing waits for long."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(calls, "AGAIN_PAUSE", 0.0)
    monkeypatch.setattr(fleets, "POLL_SECONDS", 0.01)
    with start_emulation():
        made = World()
        made.make_balancer()
        made.make_fleet(GENERATION)
        yield made


@pytest.fixture
def refusals(world: World, monkeypatch: pytest.MonkeyPatch) -> Refusals:
    """Return what refuses calls, once the world is made."""
    del world
    return Refusals(monkeypatch)


def test_a_deletion_waits_for_what_still_holds_it(world: World, refusals: Refusals) -> None:
    """A group at work, a rule that is known somewhere, a network card: each passes by itself."""
    refusals.left = {
        "DeleteAutoScalingGroup": ["ScalingActivityInProgress", "ResourceContention"],
        "DeleteTargetGroup": ["ResourceInUse"],
        "DeleteSecurityGroup": ["DependencyViolation", "DependencyViolation"],
    }
    make_target().fleets.delete(GENERATION)
    assert refusals.left == {key: [] for key in refusals.left}
    left = world.client("ec2").describe_security_groups()["SecurityGroups"]
    assert [one["GroupName"] for one in left] == ["default"]


def test_a_seal_waits_for_a_group_that_is_at_work(world: World, refusals: Refusals) -> None:
    """A scaling activity that is just over holds the group: the seal does not fail by that."""
    refusals.left = {
        "UpdateAutoScalingGroup": ["ResourceContention", "ScalingActivityInProgress"],
        "CreateOrUpdateTags": ["ResourceContention"],
        "ResumeProcesses": ["ResourceInUse"],
    }
    groups = make_target().fleets.groups
    groups.seal_template(GENERATION)
    groups.resume(GENERATION)
    groups.mark_sealed(GENERATION)
    assert refusals.left == {key: [] for key in refusals.left}
    (group,) = world.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["LaunchTemplate"]["Version"] == "2"


@pytest.mark.usefixtures("world")
def test_a_wrong_request_is_no_missing_group(refusals: Refusals) -> None:
    """Auto Scaling has one code for both; by its words a missing group is told from a fault."""
    groups = make_target().fleets.groups
    gone = "ValidationError: AutoScalingGroup name not found - AutoScalingGroup 'x' not found"
    refusals.left = {"ResumeProcesses": [gone, "ValidationError"]}
    groups.resume(GENERATION)
    with pytest.raises(LaunchError, match="ValidationError: not now"):
        groups.resume(GENERATION)


@pytest.mark.usefixtures("world")
def test_what_holds_a_group_for_ever_is_an_error(
    refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody uses it: when time is over AWS's own words are said."""
    monkeypatch.setattr(calls, "AGAIN_SECONDS", 0.0)
    refusals.left = {"DeleteSecurityGroup": ["DependencyViolation"] * 9}
    with pytest.raises(Exception, match="DependencyViolation: not now"):
        make_target().fleets.delete(GENERATION)


def test_a_drained_fleet_gets_no_new_servers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes the place of what was taken out, and AWS's longest drain is an hour."""
    assert balancer.MOST_DRAIN == 3600
    monkeypatch.setattr(balancer, "MOST_DRAIN", 3599)  # moto takes the last second for too much
    (group,) = world.client("elbv2").describe_target_groups()["TargetGroups"]
    make_target().balancer.drain(GENERATION, 7200, lambda _line: None)
    elb, scaling = world.client("elbv2"), world.client("autoscaling")
    said = elb.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "3599"}
    assert delay in said["Attributes"]
    (fleet,) = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    held = {one["ProcessName"] for one in fleet["SuspendedProcesses"]}
    assert {"Launch", "ReplaceUnhealthy"} <= held
    assert "Terminate" not in held


@pytest.mark.usefixtures("world")
def test_a_wait_that_is_refused_says_why(refusals: Refusals) -> None:
    """A missing permission, or credentials that ended meanwhile, are not a wait that was long."""
    asked = make_target().api
    instance = next(iter(make_target().fleets.find_instances(GENERATION)))
    refusals.left = {"DescribeInstances": ["UnauthorizedOperation", "ExpiredToken"]}
    with pytest.raises(SetupError, match="A permission is missing: ec2:DescribeInstances"):
        asked.wait_until_started("i-00000000000000000")
    with pytest.raises(SetupError, match="have expired"):
        asked.end_instances([instance])


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.UnauthorizedSSOTokenError(),
        botocore.exceptions.SSOTokenLoadError(profile_name="x", error_msg="no token"),
        botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="expired"),
        botocore.exceptions.LoginRefreshRequired(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_login_that_is_over_is_told_from_none(error: Exception) -> None:
    """Who has to log in again is told so, and not to set variables."""
    found = explain(error, "ec2", "describe_vpcs", "r", LaunchError)
    assert found.what == "The AWS credentials have expired"
    assert "aws sso login" in found.todo


def test_a_probe_starts_in_a_zone_that_has_room(
    world: World, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zone without such instances is not the end; none with room is, and nothing is left."""
    monkeypatch.setattr(ssh, "run_remote", lambda *_: ssh.Answer())
    target = make_target(verify_through="private")
    ami = world.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    spec = FleetSpec(GENERATION, ami, LAUNCH, 1, {})
    subnets = find_network(target.api).subnets
    refusals.left = {"RunInstances": ["Unsupported", "InsufficientInstanceCapacity"]}
    with target.access.start_probe(spec, lambda _line: None):
        places = [one["NetworkInterfaces"][0]["SubnetId"] for one in refusals.find("RunInstances")]
        assert places == [*subnets][:3]
    before = world.client("ec2").describe_security_groups()["SecurityGroups"]
    refusals.left = {"RunInstances": ["Unsupported"] * len(subnets)}
    probe = target.access.start_probe(spec, lambda _line: None)
    with pytest.raises(LaunchError, match="no room"):
        probe.__enter__()
    assert world.client("ec2").describe_security_groups()["SecurityGroups"] == before


def test_a_default_vpc_without_subnets_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subnets of other VPCs are not taken for its own."""
    ec2 = world.client("ec2")
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=other, CidrBlock="10.9.1.0/24")
    original = api.Api.list

    def hide(asked: api.Api, *words: Any, **named: Any) -> list[Any]:  # noqa: ANN401
        if {"Name": "default-for-az", "Values": ["true"]} in named.get("Filters", ()):
            return []
        return original(asked, *words, **named)

    monkeypatch.setattr(api.Api, "list", hide)
    with pytest.raises(SettingsError, match="no default subnets"):
        find_network(make_target().api)


def test_a_server_that_came_after_the_checks_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has verified it: the group makes it again, from the template that is sealed."""
    sealed: set[str] = set()

    def run_remote(_config: Path, name: str, command: str, _needed: object = ()) -> ssh.Answer:
        if command == ssh.SEAL_COMMAND:
            sealed.add(name)
            return ssh.Answer(ssh.SEALED)
        return ssh.Answer(failure=ssh.REFUSED if name in sealed else "")

    monkeypatch.setattr(ssh, "run_remote", run_remote)
    target = make_target(verify_from=["203.0.113.7/32"], verify_through="private")
    target.access.make_inspection_key(GENERATION)
    target.access.make_key(GENERATION)
    verified = {login.server for login in target.access.open_logins(GENERATION)}
    scaling, name = world.client("autoscaling"), make_name(GENERATION)
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=3, DesiredCapacity=3)
    (late,) = find_servers(target) - verified
    said: list[str] = []
    target.access.close_window(GENERATION, said.append)
    assert said[0] == f"ends {late}: it came when the others had been checked"
    after = find_servers(target)
    assert (verified <= after, late in after, len(after)) == (True, False, 3)
    assert not (data_dir() / "aws" / name).exists()
    target.access.close_window(GENERATION, said.append)  # a sealed fleet is left as it is
    assert find_servers(target) == after


def find_servers(target: Any) -> set[str]:  # noqa: ANN401 - the target
    """Return the names of the generation's servers."""
    return {one.name for one in target.fleets.find_servers(GENERATION)}


@pytest.mark.parametrize("name", ["sg", "sg-x", "sgx", "web"])
def test_a_security_group_may_have_any_services_name(name: str) -> None:
    """Amazon keeps `sg-` for ids of security groups."""
    made = make_name(replace(GENERATION, service=name))
    assert not made.startswith("sg-")
    assert set(made) <= {*"abcdefghijklmnopqrstuvwxyz0123456789-"}
