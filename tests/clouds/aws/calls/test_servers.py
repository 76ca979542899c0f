"""The aws target's servers on an emulated account: health, trouble, logins and errors."""

import base64
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import moto.ec2.responses.general
import pytest

from harness.aws.aws_world import World, make_target, start_emulation
from harness.cloud_world import RECORD, WEB
from immutable_servers import contract
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import FleetSpec, Launch, Scope
from immutable_servers.errors import (
    ImageError,
    ImmutableError,
    LaunchError,
    LedgerError,
    SettingsError,
    SetupError,
    TrafficError,
)
from immutable_servers.system.places import data_dir
from immutable_servers.targets import aws
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.faults import explain
from immutable_servers.targets.aws.names import (
    PREFIX,
    RECORDS,
    find_generation,
    list_tags,
    make_name,
    make_tags,
)
from immutable_servers.targets.cloud import access as cloud_access
from immutable_servers.targets.cloud import ends

GENERATION = replace(WEB, generation="3f2a9c41")
LAUNCH = Launch("small", 80, "/healthz", {"GREETING": "hello"})
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFirst"
CONSOLE = f"""\
Linux version 6.1
[    9.123456] immutable-seal[311]: host key {HOST_KEY}
[   10.000000] app[400]: it serves
"""
FAKE_SSH = """\
#!/bin/sh
echo "$@" >>"{log}"
[ ! -e "{sealed}" ] || {{ echo "port 22: Connection refused" >&2; exit 255; }}
case $* in *immutable-seal*) touch "{sealed}"; echo sealed ;; esac
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield an emulated account with a fleet of two servers, and a data folder of the test's."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(contract.fleets, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(aws.fleets, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(moto.ec2.responses.general, "SAMPLE_CONSOLE_OUTPUT", CONSOLE)
    with start_emulation():
        made = World()
        made.make_balancer()
        made.make_fleet(GENERATION, window_ends=int(time.time()) + LOGIN_WINDOW)
        yield made


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an ssh on the PATH that lets in until it is told to seal; return its log."""
    folder, log = tmp_path / "bin", tmp_path / "ssh.log"
    folder.mkdir()
    script = FAKE_SSH.format(log=log, sealed=tmp_path / "sealed")
    (folder / "ssh").write_text(script)
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def make_keys(target: AwsTarget, scope: Scope = GENERATION) -> None:
    """Make the keys of a launch."""
    target.access.make_inspection_key(scope)
    target.access.make_key(scope)


def find_open_ports(world: World) -> set[int]:
    """Return the ports that the generation's security group lets in."""
    (group,) = world.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [make_name(GENERATION)]}]
    )["SecurityGroups"]
    return {one["FromPort"] for one in group["IpPermissions"]}


def test_a_fleet_says_what_it_is(world: World) -> None:
    """Record, count and wholeness come from the group, and a missing server shows."""
    target = make_target()
    fleet = target.fleets.find(WEB)["3f2a9c41"]
    assert fleet.record.items() >= RECORD.items()
    assert (fleet.servers, fleet.running, fleet.whole, fleet.leaving) == (2, 2, True, False)
    name = make_name(GENERATION)
    world.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, DesiredCapacity=0
    )
    assert target.fleets.find(WEB)["3f2a9c41"].leaving


def test_a_record_that_cannot_be_read_is_an_error(world: World) -> None:
    """A group whose record somebody damaged is not taken for none."""
    tag = {"Key": "immutable-servers:record-00", "Value": "x", "PropagateAtLaunch": False}
    where = {"ResourceId": make_name(GENERATION), "ResourceType": "auto-scaling-group"}
    world.client("autoscaling").create_or_update_tags(Tags=[{**tag, **where}])
    with pytest.raises(LedgerError, match="cannot be read"):
        make_target().fleets.find(WEB)


def test_health_is_the_balancers(world: World) -> None:
    """Every server of the group is asked, a stranger and a server that is missing are said."""
    target = make_target()
    found = target.fleets.find_health(GENERATION)
    assert [(one.ok, one.serving) for one in found] == [(True, True)] * 2
    elb = world.client("elbv2")
    group = elb.describe_target_groups(Names=[make_name(GENERATION)])["TargetGroups"][0]
    mine = sorted(
        one["Target"]["Id"]
        for one in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])[
            "TargetHealthDescriptions"
        ]
    )
    elb.deregister_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": mine[0]}])
    ami = world.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    stranger = world.client("ec2").run_instances(ImageId=ami, MinCount=1, MaxCount=1)["Instances"]
    strange = stranger[0]["InstanceId"]
    elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": strange}])
    said = {one.server.split("-i-")[-1]: one for one in target.fleets.find_health(GENERATION)}
    assert not said[mine[0][2:]].serving
    assert said[mine[1][2:]].ok
    assert "the fleet does not" in said[strange[2:]].detail
    assert [one.url for one in target.fleets.find_servers(GENERATION)]


@pytest.mark.usefixtures("world")
def test_a_wait_ends_with_what_is_wrong() -> None:
    """A fleet that never gets healthy is no error of the launch: it is said and left to checks."""
    said: list[str] = []
    fleets = make_target().fleets
    assert fleets.wait_until_launched(GENERATION, 0.05, said.append) == 2
    gone = replace(WEB, generation="00000000")
    assert fleets.wait_until_launched(gone, 0.05, said.append) == 0
    assert any("it has no servers" in line for line in said)


@pytest.mark.usefixtures("world")
def test_trouble_names_state_checks_and_console() -> None:
    """What is asked when servers do not serve: instances, status checks, consoles."""
    lines = make_target().fleets.find_trouble(GENERATION)
    assert len([line for line in lines if "running" in line and "checks: " in line]) == 2
    assert len(lines) > 2  # the emulated console has some lines


@pytest.mark.usefixtures("ssh")
def test_the_way_is_open_from_launch_to_seal(world: World) -> None:
    """The key lets in while the window is open; the seal leaves no rule, no key, and healing on."""
    target = make_target()
    make_keys(target)
    folder = data_dir() / "aws" / make_name(GENERATION)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    autoscaling = world.client("autoscaling")
    name = make_name(GENERATION)
    autoscaling.suspend_processes(
        AutoScalingGroupName=name, ScalingProcesses=["ReplaceUnhealthy", "AZRebalance"]
    )
    logins = target.access.open_logins(GENERATION)
    assert [login.server for login in logins] == [
        server.name for server in target.fleets.find_servers(GENERATION)
    ]
    assert find_open_ports(world) == {22}
    assert target.access.open_logins(GENERATION) == logins  # again, and still one rule
    said: list[str] = []
    target.access.close_window(GENERATION, said.append)
    assert find_open_ports(world) == set()
    assert not folder.exists()
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    assert group["SuspendedProcesses"] == []
    assert said[0].startswith("sealed web-3f2a9c41-i-")
    assert target.access.describe_logins(GENERATION) == []
    with pytest.raises(LaunchError, match="closed"):
        target.access.open_logins(GENERATION)
    target.access.close_window(GENERATION, said.append)  # a sealed one is no error


def test_over_the_internet_a_host_key_is_known_before_a_login(world: World, ssh: Path) -> None:
    """It is what the server's console shows by AWS's API: no other key is taken, also by people."""
    target = make_target()
    make_keys(target)
    logins = target.access.open_logins(GENERATION)
    for login in (*logins, *target.access.describe_logins(GENERATION)):
        config = Path(login.ssh_config)
        assert "StrictHostKeyChecking yes" in config.read_text()
        assert f"{login.server} {HOST_KEY}\n" in config.with_name("known_hosts").read_text()
    assert ssh.exists()
    ami = world.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    with target.access.start_probe(
        FleetSpec(GENERATION, ami, LAUNCH, 1, {}), lambda _line: None
    ) as login:
        known = Path(login.ssh_config).with_name("known_hosts").read_text()
        assert known == f"{login.server} {HOST_KEY}\n"


@pytest.mark.usefixtures("world")
def test_a_server_that_shows_no_host_key_is_not_logged_in_to(
    ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers at its address is nobody then, and no command goes to him."""
    monkeypatch.setattr(moto.ec2.responses.general, "SAMPLE_CONSOLE_OUTPUT", "Linux version 6.1")
    target = make_target()
    target.access.login_seconds = 0
    make_keys(target)
    with pytest.raises(LaunchError, match=r"host keys of servers are not known[\s\S]*Nitro"):
        target.access.open_logins(GENERATION)
    assert not ssh.exists()
    (login, _) = target.access.describe_logins(GENERATION)
    assert "StrictHostKeyChecking yes" in Path(login.ssh_config).read_text()


@pytest.mark.usefixtures("world", "ssh")
def test_inside_of_the_network_a_host_key_is_taken_once() -> None:
    """No console is asked where nobody outside stands between."""
    target = make_target(verify_through="private")
    make_keys(target)
    (login, _) = target.access.open_logins(GENERATION)
    assert "StrictHostKeyChecking accept-new" in Path(login.ssh_config).read_text()


@pytest.mark.usefixtures("ssh")
def test_a_server_that_comes_after_the_seal_boots_sealed(world: World) -> None:
    """Its launch data has neither key nor window, which is open still, and all else as before."""
    target, ec2 = make_target(), world.client("ec2")
    make_keys(target)
    before = read_launch(ec2, make_name(GENERATION), "1")
    target.access.open_logins(GENERATION)
    for _ in range(2):  # a sealed fleet is left as it is
        target.access.close_window(GENERATION, lambda _line: None)
    group = target.fleets.groups.find(GENERATION)
    assert group is not None
    after = read_launch(ec2, make_name(GENERATION), group["LaunchTemplate"]["Version"])
    assert group["LaunchTemplate"]["Version"] == "2"
    opening = {"login_key": "ssh-ed25519 AAAA", "window_ends": 99}
    assert before.pop("UserData") == {**after.pop("UserData"), **opening}
    assert before == after
    target.fleets.groups.seal_template(replace(WEB, generation="00000000"))  # nothing to seal


def read_launch(ec2: Any, name: str, version: str) -> dict[str, Any]:  # noqa: ANN401 - boto3's
    """Return a version of a launch template, with its user data as values."""
    (found,) = ec2.describe_launch_template_versions(LaunchTemplateName=name, Versions=[version])[
        "LaunchTemplateVersions"
    ]
    data: dict[str, Any] = found["LaunchTemplateData"]
    return {**data, "UserData": json.loads(base64.b64decode(data["UserData"]))}


@pytest.mark.usefixtures("world", "ssh")
def test_a_server_that_does_not_seal_is_an_error(tmp_path: Path) -> None:
    """Whatever the seal's command said, a login that still works holds the candidate back."""
    target = make_target()
    target.access.make_key(GENERATION)
    target.access.open_logins(GENERATION)
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\n")
    with pytest.raises(LaunchError, match="did not seal itself"):
        target.access.close_window(GENERATION, lambda _line: None)


OPEN = replace(WEB, generation="4f2a9c41")
"""A generation whose login window is open still."""


@pytest.fixture
def window_ends(world: World) -> int:
    """Make a fleet of one server whose window is open, and return its end."""
    ends = int(time.time()) + 1800
    world.make_fleet(OPEN, servers=1, window_ends=ends)
    return ends


def pass_time(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    """Have the access's clock show a time; AWS's own goes on."""
    clock = SimpleNamespace(time=lambda: now, strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(cloud_access, "time", clock)


def find_processes(target: AwsTarget) -> list[str]:
    """Return what is suspended of the open fleet's processes: nothing, once it is sealed."""
    group = target.fleets.groups.find(OPEN)
    assert group is not None
    return [one["ProcessName"] for one in group["SuspendedProcesses"]]


@pytest.mark.usefixtures("world")
def test_servers_that_cannot_be_asked_are_not_sealed(
    ssh: Path, window_ends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key here nothing is done while they take logins, and the error says until when.

    Later servers boot sealed all the same; once the window is over the others are sealed as well.
    """
    target = make_target()
    target.fleets.groups.stop_growing(OPEN)
    until = time.strftime("%H:%M UTC", time.gmtime(window_ends))
    with pytest.raises(LaunchError) as caught:
        target.access.close_window(OPEN, lambda _line: None)
    assert caught.value.what == "web-4f2a9c41 cannot be sealed from here"
    assert f"its servers take logins until {until}" in caught.value.facts[0]
    assert caught.value.facts[1].endswith("/key is not here")
    assert f"where it was launched, or after {until}" in caught.value.todo
    assert find_processes(target)
    group = target.fleets.groups.find(OPEN)
    assert group is not None
    assert group["LaunchTemplate"]["Version"] == "2"
    assert not ssh.exists()
    pass_time(monkeypatch, window_ends)
    target.access.close_window(OPEN, lambda _line: None)
    assert not find_processes(target)


@pytest.mark.usefixtures("world")
def test_a_server_that_cannot_be_reached_is_not_sealed(
    ssh: Path, window_ends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that fails during the seal proves nothing, until the window is over by itself."""
    target = make_target()
    make_keys(target, OPEN)
    target.access.open_logins(OPEN)
    program = ssh.with_name("bin") / "ssh"
    program.write_text("#!/bin/sh\necho 'port 22: Connection timed out' >&2; exit 255\n")
    for _ in range(2):
        with pytest.raises(LaunchError, match=r"did not seal itself[\s\S]*could not be asked"):
            target.access.close_window(OPEN, lambda _line: None)
    assert (data_dir() / "aws" / make_name(OPEN) / "key").exists()
    pass_time(monkeypatch, window_ends)
    target.access.close_window(OPEN, lambda _line: None)
    assert not (data_dir() / "aws" / make_name(OPEN)).exists()


@pytest.mark.usefixtures("world", "ssh", "window_ends")
def test_a_sealed_fleet_is_known_as_sealed_anywhere() -> None:
    """The group says so: the key is gone here, and a run that repeats the seal is no error."""
    target = make_target()
    make_keys(target, OPEN)
    target.access.open_logins(OPEN)
    for _ in range(2):
        target.access.close_window(OPEN, lambda _line: None)


def test_nobody_is_let_in_when_the_window_is_over(
    world: World, ssh: Path, window_ends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers have sealed themselves by then: no rule is made, none is asked; the run says so."""
    access = make_target().access
    access.make_key(OPEN)
    pass_time(monkeypatch, window_ends)
    until = time.strftime("%H:%M UTC", time.gmtime(window_ends))
    with pytest.raises(LaunchError, match="window of web-4f2a9c41 is over") as caught:
        access.open_logins(OPEN)
    assert caught.value.facts == (f"its servers took logins until {until}",)
    assert find_open_ports(world) == set()
    assert not ssh.exists()


def test_a_verifier_whose_address_changed_is_let_in_again(world: World) -> None:
    """Its address from before is let in no more, and what others have opened is left alone."""
    make_target().access.make_key(GENERATION)
    ec2, end = world.client("ec2"), int(time.time()) + LOGIN_WINDOW
    (group,) = make_target().api.find_security_groups(
        {"Name": "group-name", "Values": [make_name(GENERATION)]}
    )
    others = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    others["IpRanges"] = [{"CidrIp": "10.0.0.0/8"}]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[others])
    for sources in (
        ["192.0.2.1/32"],
        ["192.0.2.1/32"],
        ["192.0.2.2/32", "2001:db8::1/128"],
        ["2001:db8::1/128"],
    ):
        make_target(verify_from=sources).access.open_way(GENERATION, end)
        rules = make_target().api.find_security_rules(
            {"Name": "group-id", "Values": [group["GroupId"]]}
        )
        found = {one.get("CidrIpv4") or one.get("CidrIpv6") for one in rules if not one["IsEgress"]}
        assert found - {"0.0.0.0/0"} == {*sources, "10.0.0.0/8"}


def test_a_way_that_a_killed_run_left_is_closed(world: World) -> None:
    """A rule whose window is over, and a probe, go as the next update begins; servers stay."""
    access = make_target().access
    access.make_key(GENERATION)
    access.open_way(GENERATION, int(time.time()) + 600)
    assert find_open_ports(world) == {22}
    (rule,) = access.find_ways(GENERATION)
    ec2, tag = world.client("ec2"), {"Key": f"{PREFIX}{ends.WINDOW}", "Value": "1"}
    ec2.create_tags(Resources=[rule.name.rpartition("/")[2]], Tags=[tag])
    tags = list_tags({**make_tags(GENERATION), f"{PREFIX}{ends.PROBE}": "1"})
    ami = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    group = ec2.create_security_group(
        GroupName="probe",
        Description="A probe",
        VpcId=world.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    probe = ec2.run_instances(
        ImageId=ami,
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]
    make_target().ownership.begin_update(
        Owner("file://x", "1", "org", "project", "dev", "here"), ["web-3f2a9c41"]
    )
    assert find_open_ports(world) == set()
    (found,) = ec2.describe_instances(InstanceIds=[probe])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "terminated"
    assert len(make_target().fleets.find_servers(GENERATION)) == 2


@pytest.mark.usefixtures("ssh")
def test_through_session_manager_no_port_is_opened(world: World) -> None:
    """SSH goes through the session, to the instance's id, and the group has no rule for it."""
    target = make_target(verify_through="ssm", instance_profile="web", profile="")
    target.access.make_key(GENERATION)
    (login, _) = target.access.open_logins(GENERATION)
    config = Path(login.ssh_config).read_text()
    assert "ProxyCommand aws ssm start-session --region eu-central-1 --target %h" in config
    assert f"HostName {login.server.removeprefix('web-3f2a9c41-')}" in config
    assert find_open_ports(world) == set()


@pytest.mark.usefixtures("ssh")
@pytest.mark.parametrize("health", ["/healthz", ""])
def test_a_probe_is_gone_at_the_end(world: World, health: str) -> None:
    """One open server with a key and a firewall of its own, which go with it whatever happens.

    Its login is all that is waited for, whether it has a health check or not.
    """
    ec2 = world.client("ec2")
    ami = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    spec = FleetSpec(GENERATION, ami, replace(LAUNCH, health=health), 1, {})
    before = {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    probe = make_target().access.start_probe(spec, lambda _line: None)
    login = probe.__enter__()
    instance = login.server.removeprefix("web-3f2a9c41-")
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert found["Instances"][0]["InstanceType"] == "t3.small"
    user_data = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    assert b"login_key" in base64.b64decode(user_data["UserData"]["Value"])
    failed = RuntimeError("a check failed")
    assert not probe.__exit__(RuntimeError, failed, None)  # and the error goes on
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "terminated"
    assert {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]} == before
    assert not Path(login.ssh_config).exists()
    assert len(make_target().fleets.find_servers(GENERATION)) == 2


def test_a_record_fits_into_tags() -> None:
    """A large record is cut into values that AWS takes; one that cannot fit is said."""
    record = {"env": {f"NAME_{number}": f"value {number * 7919}" for number in range(200)}}
    tags = RECORDS.render(record)
    assert len(tags) > 1
    assert max(map(len, tags.values())) <= 256
    assert RECORDS.parse({**tags, "Name": "x"}, "group") == record
    with pytest.raises(LaunchError, match="does not fit"):
        RECORDS.render({"noise": os.urandom(20000).hex()})


def test_names_are_of_one_scope() -> None:
    """A name fits a load balancer, tells its generation, and is nobody else's."""
    long = Scope("a-long-project-name", "a-long-stack-name", "a-service-of-20-chars", "3f2a9c41")
    name = make_name(long)
    assert len(name) <= 32
    assert len(make_name(replace(long, service="", generation=""))) <= 32
    assert find_generation(replace(long, generation=""), name) == "3f2a9c41"
    assert find_generation(replace(long, stack="other", generation=""), name) == ""
    shifted = Scope("a", "b-c", "web", "3f2a9c41"), Scope("a-b", "c", "web", "3f2a9c41")
    assert make_name(shifted[0]) != make_name(shifted[1])


def refuse(code: str, message: str = "said AWS") -> botocore.exceptions.ClientError:
    """Return what boto3 raises for a code."""
    answer: Any = {"Error": {"Code": code, "Message": message}}
    return botocore.exceptions.ClientError(answer, "Operation")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (refuse("ExpiredToken"), SetupError, "have expired"),
        (refuse("AuthFailure"), SetupError, "does not accept"),
        (refuse("OptInRequired"), SettingsError, "not enabled"),
        (
            refuse("RequestLimitExceeded"),
            TrafficError,
            "slows down elasticloadbalancing:ModifyRule",
        ),
        (refuse("ThrottlingException"), TrafficError, "slows down"),
        (refuse("InvalidAMIID.NotFound"), ImageError, "does not exist any more"),
        (refuse("InsufficientInstanceCapacity"), TrafficError, "no room"),
        (refuse("VcpuLimitExceeded"), TrafficError, "quota"),
        (refuse("TooManyTargetGroups"), TrafficError, "quota"),
        (refuse("ValidationError"), TrafficError, "AWS refused elasticloadbalancing:ModifyRule"),
        (botocore.exceptions.NoCredentialsError(), SetupError, "no AWS credentials"),
        (botocore.exceptions.ProfileNotFound(profile="x"), SetupError, "no AWS credentials"),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
            SettingsError,
            "does not answer in the region eu-nowhere-1",
        ),
        (
            botocore.exceptions.ConnectTimeoutError(endpoint_url="https://x"),
            SetupError,
            "could not be reached",
        ),
    ],
)
def test_what_aws_refuses_is_said(error: Exception, kind: type[ImmutableError], said: str) -> None:
    """Each answer has a sentence, the call and region it was about, and what to do."""
    found = explain(error, "elbv2", "modify_rule", "eu-nowhere-1", TrafficError)
    assert type(found) is kind
    assert said in found.what
    assert "elasticloadbalancing:ModifyRule in eu-nowhere-1" in found.facts[0]
    assert found.todo


def test_a_missing_permission_names_action_and_resource() -> None:
    """What AWS says of an action is taken out of its message, else the call was the action."""
    message = (
        "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ec2:RunInstances"
        " on resource: arn:aws:ec2:eu-central-1::image/ami-1 because no identity-based policy"
    )
    found = explain(refuse("UnauthorizedOperation", message), "ec2", "x", "r", LaunchError)
    assert found.what == "A permission is missing: ec2:RunInstances"
    assert found.facts[0] == "on arn:aws:ec2:eu-central-1::image/ami-1"
    other = explain(refuse("AccessDenied", "no"), "ec2", "create_tags", "r", LaunchError)
    assert other.what == "A permission is missing: ec2:CreateTags"
    words = "You are not authorized to use launch template: lt-0d9b738051139aab9"
    third = explain(refuse("AccessDenied", words), "autoscaling", "x", "r", LaunchError)
    assert third.what == "A permission is missing: ec2:RunInstances"
    assert third.facts[0] == "on what the launch template lt-0d9b738051139aab9 names"


def test_without_credentials_the_first_question_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names how to give some."""
    from immutable_servers.targets.aws.clients import forget_clients  # noqa: PLC0415 - this test alone

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    forget_clients()
    with pytest.raises(SetupError, match="AWS_PROFILE"):
        make_target().balancer.find_weights(WEB)
    forget_clients()
