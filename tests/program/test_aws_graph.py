"""What the aws target declares, under Pulumi's mocks and on an emulated account."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from harness import declarations
from harness.aws.aws_world import SETTINGS, World, make_target, start_emulation
from harness.declarations import LAUNCH, ROUTES, STACK, WEB, Recorder, declare_stack, declare_two
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws.names import (
    HEADER,
    RECORDS,
    list_tags,
    make_name,
    make_tags,
)
from immutable_servers.targets.shared.health import ACCEPTED_TEXT, ANSWER_SECONDS

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1"


class Amazon(Recorder):
    """Answers as AWS would."""

    def add(self, kind: str, name: str) -> dict[str, Any]:
        """Return ARN, version and name."""
        return {"arn": f"arn:{kind}:{name}", "latestVersion": 1, "dnsName": "lb.example.com"}


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    """Yield an emulated account with a default VPC."""
    with start_emulation():
        yield World()


make_spec = partial(declarations.make_spec, "ami-1", {})


def start(recorder: Recorder, settings: Mapping[str, Any], owner: Owner) -> Graph:
    """Start a graph whose owner the recorder keeps."""
    target = make_target(**settings)
    # The balancer is a mock, which the emulated account does not know.
    target.ownership.write_owner = lambda *found: recorder.owned.append(found)  # type: ignore[method-assign]
    return target.start_graph(STACK, owner)


def declare(
    routes: Sequence[Route] = ROUTES,
    *,
    frozen: bool = False,
    spec: dict[str, Any] | None = None,
    **settings: Any,  # noqa: ANN401 - plain values
) -> Recorder:
    """Declare a balancer and one generation; return what was registered."""
    recorder = Amazon()

    declare_stack(
        recorder, partial(start, recorder, settings), routes, spec or make_spec(), frozen=frozen
    )
    return recorder


def test_every_resource_has_a_steady_name() -> None:
    """The balancer's resources have fixed names, a generation's carry its id."""
    recorder = declare()
    assert {*recorder.seen} == {
        "aws aws",
        "SecurityGroup balancer",
        "SecurityGroupIngressRule balancer-80-0.0.0.0/0",
        "SecurityGroupIngressRule balancer-8080-0.0.0.0/0",
        "SecurityGroupEgressRule balancer-out",
        "LoadBalancer balancer",
        "AwsPointer web.8080",
        "Listener web",
        "AwsPointer api.api.example.com",
        "Listener by.host",
        "ListenerRule api",
        "SecurityGroup web-3f2a9c41",
        "SecurityGroupIngressRule web-3f2a9c41-balancer",
        "SecurityGroupEgressRule web-3f2a9c41-out",
        "LaunchTemplate web-3f2a9c41",
        "TargetGroup web-3f2a9c41",
        "ListenerRule web-3f2a9c41",
        "Group web-3f2a9c41",
        "AwsFleet web-3f2a9c41",
    }
    assert recorder.address == "http://lb.example.com:8080"


def test_what_is_protected_and_what_is_left_alone() -> None:
    """The balancer is protected, its pointers are Traffic's; all of ours is made in the region.

    The engine deletes no listener and no host's rule: whatever it believes, what serves stays.
    """
    recorder = declare()
    requests = recorder.monitor.requests
    protected = {name for name, request in requests.items() if request.protect}
    assert protected == {
        "SecurityGroup balancer",
        "LoadBalancer balancer",
    }
    retained = {name for name, request in requests.items() if request.retainOnDelete}
    assert retained == {"Listener web", "Listener by.host", "ListenerRule api"}
    assert "AwsPointer web.8080" in recorder.find_dependencies("Listener web")
    assert "AwsPointer api.api.example.com" in recorder.find_dependencies("ListenerRule api")
    assert list(requests["Listener web"].ignoreChanges) == ["defaultActions"]
    assert list(requests["ListenerRule api"].ignoreChanges) == ["actions"]
    for name, request in requests.items():
        if request.type.startswith("aws:"):
            assert request.provider.rpartition("::")[0].endswith("::aws"), name


def test_a_fresh_generation_ignores_nothing() -> None:
    """What is made for the first time is made as the program says."""
    requests = declare().monitor.requests
    assert {
        name
        for name, request in requests.items()
        if name.endswith("3f2a9c41") and request.ignoreChanges
    } == set()


def test_a_frozen_generation_changes_its_count_alone() -> None:
    """Of what exists only the number of servers follows the settings.

    Each argument is named beside `*`, which a provider does not understand. A test rule, which
    serves nobody, may get the program's conditions and listener.
    """
    requests = declare(frozen=True).monitor.requests
    for name in (
        "SecurityGroup web-3f2a9c41",
        "LaunchTemplate web-3f2a9c41",
        "TargetGroup web-3f2a9c41",
        "SecurityGroupIngressRule web-3f2a9c41-balancer",
        "SecurityGroupEgressRule web-3f2a9c41-out",
    ):
        given = {*requests[name].object} - {"__defaults"}
        assert {*requests[name].ignoreChanges} == {"*", *given}, name
    rule = requests["ListenerRule web-3f2a9c41"]
    given = {*rule.object} - {"__defaults"}
    assert given - {*rule.ignoreChanges} == {"conditions", "listenerArn"}
    given = {*requests["Group web-3f2a9c41"].object} - {"__defaults"}
    free = given - {*requests["Group web-3f2a9c41"].ignoreChanges}
    # The last two are no words of AWS: with them the provider deletes and waits.
    assert free == {
        "desiredCapacity", "minSize", "maxSize", "forceDelete", "waitForCapacityTimeout"
    }  # fmt: skip
    assert "servers" not in requests["AwsFleet web-3f2a9c41"].ignoreChanges


def test_a_frozen_generation_of_a_size_that_is_gone() -> None:
    """A size that left the settings stops no generation that was launched with it."""
    launch = {**LAUNCH, "size": "huge"}
    declare(frozen=True, spec=make_spec(launch=launch))
    with pytest.raises(SettingsError, match="huge"):
        declare(spec=make_spec(launch=launch))


def test_the_launch_template_is_safe_by_default() -> None:
    """IMDSv2 alone, an encrypted disk, tags on servers and disks, launch data with the window."""
    inputs = declare(kms_key="alias/ours", instance_profile="web").seen[
        "LaunchTemplate web-3f2a9c41"
    ]
    assert inputs["imageId"] == "ami-1"
    assert inputs["metadataOptions"]["httpTokens"] == "required"
    (disk,) = inputs["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] == "true"
    assert disk["ebs"]["kmsKeyId"] == "alias/ours"
    assert inputs["iamInstanceProfile"] == {"name": "web"}
    tags = {one["resourceType"]: one["tags"] for one in inputs["tagSpecifications"]}
    for kind in ("instance", "volume"):
        assert tags[kind]["immutable-servers:generation"] == "3f2a9c41"
    assert json.loads(base64.b64decode(inputs["userData"])) == {
        "service": "web",
        "generation": "3f2a9c41",
        "login_key": "ssh-ed25519 AAAA",
        "window_ends": 99,
        "env": {"GREETING": "hello"},
    }


def test_servers_are_reached_by_the_balancer_alone() -> None:
    """No rule for SSH is declared: it is there only while a window is open."""
    recorder = declare()
    rules = {
        k: v for k, v in recorder.seen.items() if k.startswith("SecurityGroupIngressRule web-")
    }
    assert list(rules) == ["SecurityGroupIngressRule web-3f2a9c41-balancer"]
    (rule,) = rules.values()
    assert (rule["fromPort"], rule["toPort"]) == (80, 80)
    assert rule["referencedSecurityGroupId"] == "SecurityGroup-balancer-id"


def test_the_group_is_pinned_and_quiet_until_it_is_verified(world: World) -> None:
    """The template's version is a number, and healing and scaling wait for the verification."""
    recorder = declare()
    group = recorder.seen["Group web-3f2a9c41"]
    assert group["launchTemplate"]["version"] == "1"
    assert {"ReplaceUnhealthy", "AlarmNotification"} <= {*group["suspendedProcesses"]}
    assert "Launch" not in group["suspendedProcesses"]
    assert (group["minSize"], group["desiredCapacity"], group["maxSize"]) == (2, 2, 2)
    assert group["vpcZoneIdentifiers"] == world.subnets[:3]
    tags = {one["key"]: one["value"] for one in group["tags"]}
    assert RECORDS.parse(tags, "") == {"generation": "3f2a9c41", "order": 1}


def test_the_health_check_runs_before_traffic() -> None:
    """The group waits for the test rule, without which the balancer asks no server.

    No request fits that rule: its second condition is an address that nobody has.
    """
    recorder = declare()
    rule = recorder.seen["ListenerRule web-3f2a9c41"]
    by_header, by_address = rule["conditions"]
    assert by_header["httpHeader"] == {"httpHeaderName": HEADER, "values": ["web-3f2a9c41"]}
    assert by_address["sourceIp"] == {"values": ["192.0.2.0/24"]}
    assert 1 <= rule["priority"] <= 40000
    assert "ListenerRule web-3f2a9c41" in recorder.find_dependencies("Group web-3f2a9c41")
    assert "Group web-3f2a9c41" in recorder.find_dependencies("AwsFleet web-3f2a9c41")
    check = recorder.seen["TargetGroup web-3f2a9c41"]["healthCheck"]
    assert (check["path"], check["matcher"]) == ("/healthz", ACCEPTED_TEXT)
    assert check["timeout"] == ANSWER_SECONDS < check["interval"]


def test_the_balancers_time_is_a_setting() -> None:
    """It is what AWS gives without one."""
    assert declare().seen["LoadBalancer balancer"]["idleTimeout"] == 60
    assert declare(timeout=300).seen["LoadBalancer balancer"]["idleTimeout"] == 300


def test_https_comes_with_a_certificate() -> None:
    """Listeners speak HTTPS, and HTTP is redirected where that is asked for."""
    recorder = declare(certificate=CERTIFICATE, redirect=80)
    assert recorder.seen["Listener web"]["protocol"] == "HTTPS"
    assert recorder.seen["Listener web"]["certificateArn"] == CERTIFICATE
    assert recorder.seen["Listener by.host"]["port"] == 443
    (action,) = recorder.seen["Listener redirect.http"]["defaultActions"]
    assert action["redirect"]["protocol"] == "HTTPS"


def test_launch_overrides_pass_through() -> None:
    """Anything else of a launch template can be said, but not what makes a generation."""
    spot = {"instance_market_options": {"market_type": "spot"}}
    recorder = declare(spec=make_spec(launch={**LAUNCH, "overrides": spot}))
    inputs = recorder.seen["LaunchTemplate web-3f2a9c41"]
    assert inputs["instanceMarketOptions"] == {"marketType": "spot"}
    for overrides, said in (
        ({"image_id": "ami-2"}, "image_id is"),
        ({"nonsense": 1}, "no nonsense"),
    ):
        with pytest.raises(SettingsError, match=said):
            declare(spec=make_spec(launch={**LAUNCH, "overrides": overrides}))


def test_what_a_killed_run_made_is_adopted(world: World) -> None:
    """What AWS has under our names and the state may lack is imported, not made again."""
    world.make_balancer()
    world.make_fleet(WEB)
    requests = declare(frozen=True).monitor.requests
    imported = {name: request.importId for name, request in requests.items() if request.importId}
    name = make_name(WEB)
    assert imported["LoadBalancer balancer"] == world.balancer
    assert imported["Listener web"] == world.listener
    assert imported["Group web-3f2a9c41"] == name
    assert imported["LaunchTemplate web-3f2a9c41"].startswith("lt-")
    assert f"targetgroup/{name}/" in imported["TargetGroup web-3f2a9c41"]
    assert ":listener-rule/" in imported["ListenerRule web-3f2a9c41"]
    assert imported["SecurityGroup web-3f2a9c41"].startswith("sg-")


def test_a_template_that_launched_nothing_gets_this_runs_window(world: World) -> None:
    """A run that was killed before its group was made left its own; a group's is never changed."""
    world.make_balancer()
    world.make_fleet(WEB)
    kept = declare().monitor.requests["LaunchTemplate web-3f2a9c41"]
    world.client("autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName=make_name(WEB), ForceDelete=True
    )
    left = declare().monitor.requests["LaunchTemplate web-3f2a9c41"]
    assert left.importId == kept.importId
    assert (list(left.ignoreChanges), "userData" in kept.ignoreChanges) == ([], True)


def test_rules_that_were_made_and_not_tagged_are_adopted(world: World) -> None:
    """A run was killed between the two, or before the rule was gone that EC2 gives each group.

    A rule about anything else, or with a tag of somebody's, is not ours.
    """
    world.make_balancer()
    world.make_fleet(WEB)
    ec2, tags = world.client("ec2"), list_tags(make_tags(STACK))
    balancer = ec2.create_security_group(
        GroupName=make_name(STACK),
        Description="Balancer",
        VpcId=world.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    (servers,) = [
        group["GroupId"]
        for group in ec2.describe_security_groups()["SecurityGroups"]
        if group["GroupName"] == make_name(WEB)
    ]
    tcp = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080}
    world_wide = {**tcp, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    inside = {**tcp, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    from_balancer = {
        **tcp,
        "FromPort": 80,
        "ToPort": 80,
        "UserIdGroupPairs": [{"GroupId": balancer}],
    }
    for group, permission in (
        (balancer, inside), (balancer, world_wide), (servers, from_balancer)
    ):  # fmt: skip
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    requests = declare(frozen=True).monitor.requests
    rules = {
        rule["SecurityGroupRuleId"]: rule
        for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]
    }
    imported = {
        name.partition(" ")[2]: rules[request.importId]
        for name, request in requests.items()
        if name.startswith("SecurityGroup") and request.importId in rules
    }
    assert {name: (rule["GroupId"], rule["IsEgress"]) for name, rule in imported.items()} == {
        "balancer-8080-0.0.0.0/0": (balancer, False),
        "balancer-out": (balancer, True),
        "web-3f2a9c41-balancer": (servers, False),
        "web-3f2a9c41-out": (servers, True),
    }
    assert imported["balancer-8080-0.0.0.0/0"]["CidrIpv4"] == "0.0.0.0/0"
    ec2.create_tags(Resources=[*rules], Tags=[{"Key": "whose", "Value": "somebody's"}])
    again = declare(frozen=True).monitor.requests
    assert not {request.importId for request in again.values()} & {*rules}


def test_the_first_group_of_an_account_finds_its_role(world: World) -> None:
    """AWS makes it with the group, and may refuse that: it is made when the balancer is."""
    declare()
    declare()  # the account has it already
    role = world.client("iam").get_role(RoleName="AWSServiceRoleForAutoScaling")
    assert role["Role"]["Path"] == "/aws-service-role/autoscaling.amazonaws.com/"


def test_a_second_pointer_leads_where_the_first_does(world: World) -> None:
    """A service that gets another route is never at a pointer that answers 503."""
    world.make_balancer()
    world.make_fleet(WEB)
    make_target().balancer.set_traffic(replace(WEB, generation=""), {WEB.generation: 100})
    recorder = declare([Route("web", 0, "www.example.com")])
    (action,) = recorder.seen["ListenerRule web"]["actions"]
    (target,) = action["forward"]["targetGroups"]
    assert (f"targetgroup/{make_name(WEB)}/" in target["arn"], target["weight"]) == (True, 100)
    assert recorder.seen["Listener by.host"]["defaultActions"][0]["type"] == "fixed-response"
    with pytest.raises(SettingsError, match="The port 8080 still leads to servers of another"):
        declare([Route("web", 0, "www.example.com"), Route("api", 8080)])
    with pytest.raises(SettingsError, match="The port 8080 cannot redirect yet"):
        declare([Route("web", 443)], certificate=CERTIFICATE, redirect=8080)


def test_generations_that_exist_are_declared_one_after_the_other() -> None:
    """In the state they may share what no program declares; they do not depend on each other."""
    recorder = Amazon()
    declare_two(recorder, partial(start, recorder, {}), "ListenerRule")
    second = "ListenerRule web-00000002"
    assert recorder.late
    assert second not in recorder.late
    assert "ListenerRule web-3f2a9c41" not in recorder.find_dependencies(second)


def test_the_owner_is_recorded_when_the_balancer_is_first_made(world: World) -> None:
    """Before there is one the update could not; one that exists has its owner already."""
    (found,) = declare().owned
    assert (found[0], found[1].stack) == ("arn:LoadBalancer:balancer", "dev")
    world.make_balancer()
    assert declare().owned == []


def test_without_a_way_to_servers_the_preview_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers without public addresses and no Session Manager on this machine: said at once."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match="session-manager-plugin"):
        declare(public_addresses=False, instance_profile="web")
    with pytest.raises(ValueError, match="no way to reach servers"):
        make_target(**{**SETTINGS, "public_addresses": False})
