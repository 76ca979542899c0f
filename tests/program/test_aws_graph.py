"""What the aws target declares, under Pulumi's mocks and on an emulated account."""

import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from harness.aws.aws_world import SETTINGS, STACK, World, make_target, start_emulation
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws.names import HEADER, RECORDS, make_name

WEB = Scope("project", "dev", "web", "3f2a9c41")
LAUNCH = {"size": "small", "port": 80, "health": "/healthz", "env": {"GREETING": "hello"}}
ROUTES = [Route("web", 8080), Route("api", 0, "api.example.com")]


class Monitor(mocks.MockMonitor):
    """Keeps each registration as the engine would get it, with its options."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__(recorder)
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - the stub's own
        """Remember the request by the last part of its type, and its name."""
        self.requests[f"{request.type.rpartition(':')[2]} {request.name}"] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class Recorder(mocks.Mocks):
    """Answers as AWS would, and remembers what was registered."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        self.address = ""
        self.owned: list[tuple[str, Owner]] = []
        self.monitor = Monitor(self)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Hand back the inputs with what AWS adds."""
        kind = args.typ.rpartition(":")[2]
        self.seen[f"{kind} {args.name}"] = args.inputs
        added = {"arn": f"arn:{kind}:{args.name}", "latestVersion": 1, "dnsName": "lb.example.com"}
        return f"{kind}-{args.name}-id", {**added, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> Any:  # noqa: ANN401 - never returns
        """No invoke is made."""
        raise AssertionError(args.token)


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    """Yield an emulated account with a default VPC."""
    with start_emulation():
        yield World()


def make_spec(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - plain values
    """Return a generation's spec as `Generation` hands it over."""
    spec = {
        "scope": WEB.to_plain(),
        "artifact": "ami-1",
        "launch": LAUNCH,
        "servers": 2,
        "record": {"generation": "3f2a9c41", "order": 1},
        "balancer": "lb-id",
        "public_key": "ssh-ed25519 AAAA",
        "window_ends": 99,
    }
    return {**spec, **changes}


def declare(
    *,
    frozen: bool = False,
    spec: dict[str, Any] | None = None,
    **settings: Any,  # noqa: ANN401 - plain values
) -> Recorder:
    """Declare a balancer and one generation; return what was registered."""
    recorder = Recorder()
    owner = Owner("file:///state", "0a1b", "organization", "project", "dev", "/checkout")
    mocks.set_mocks(recorder, project="project", stack="dev", monitor=recorder.monitor)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        target = make_target(**settings)
        # The balancer is a mock, which the emulated account does not know.
        target.ownership.write_owner = lambda *found: recorder.owned.append(found)  # type: ignore[method-assign]
        graph = target.start_graph(STACK, owner)
        graph.declare_balancer(ROUTES, pulumi.ResourceOptions(protect=True))
        opts = pulumi.ResourceOptions()
        graph.declare_fleet("web-3f2a9c41", spec or make_spec(), frozen=frozen, opts=opts)
        address = graph.declare_address(ROUTES[0], STACK)
        pulumi.Output.from_input(address).apply(partial(setattr, recorder, "address"))

    program()
    return recorder


def find_dependencies(recorder: Recorder, resource: str) -> set[str]:
    """Return what a resource depends on, as type and name."""
    urns = recorder.monitor.requests[resource].dependencies
    return {
        f"{one.rpartition('::')[0].rpartition(':')[2]} {one.rpartition('::')[2]}" for one in urns
    }


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
        "Listener web",
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
    """The balancer is protected, its pointers are Traffic's; all of ours is made in the region."""
    requests = declare().monitor.requests
    protected = {name for name, request in requests.items() if request.protect}
    assert protected == {
        "SecurityGroup balancer",
        "LoadBalancer balancer",
        "Listener web",
        "Listener by.host",
        "ListenerRule api",
    }
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
    """Of what exists only the number of servers follows the settings."""
    requests = declare(frozen=True).monitor.requests
    for name in ("SecurityGroup", "LaunchTemplate", "TargetGroup", "ListenerRule"):
        assert list(requests[f"{name} web-3f2a9c41"].ignoreChanges) == ["*"]
    given = {*requests["Group web-3f2a9c41"].object} - {"__defaults"}
    free = given - {*requests["Group web-3f2a9c41"].ignoreChanges}
    assert free == {"desiredCapacity", "minSize", "maxSize"}
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
    assert group["vpcZoneIdentifiers"] == world.subnets
    tags = {one["key"]: one["value"] for one in group["tags"]}
    assert RECORDS.parse(tags, "") == {"generation": "3f2a9c41", "order": 1}


def test_the_health_check_runs_before_traffic() -> None:
    """The group waits for the test rule, without which the balancer asks no server."""
    recorder = declare()
    rule = recorder.seen["ListenerRule web-3f2a9c41"]
    (condition,) = rule["conditions"]
    assert condition["httpHeader"] == {"httpHeaderName": HEADER, "values": ["web-3f2a9c41"]}
    assert 1 <= rule["priority"] <= 40000
    assert "ListenerRule web-3f2a9c41" in find_dependencies(recorder, "Group web-3f2a9c41")
    assert "Group web-3f2a9c41" in find_dependencies(recorder, "AwsFleet web-3f2a9c41")
    assert recorder.seen["TargetGroup web-3f2a9c41"]["healthCheck"]["path"] == "/healthz"


def test_scaling_is_the_groups_own() -> None:
    """With a policy the settings give the least, AWS the number, which is never reset."""
    recorder = declare(frozen=True, scaling={"cpu": 50, "most": 6})
    policy = recorder.seen["Policy web-3f2a9c41"]
    assert policy["targetTrackingConfiguration"]["targetValue"] == 50
    group = recorder.seen["Group web-3f2a9c41"]
    assert (group["minSize"], group["maxSize"]) == (2, 6)
    assert "desiredCapacity" in recorder.monitor.requests["Group web-3f2a9c41"].ignoreChanges


def test_https_comes_with_a_certificate() -> None:
    """Listeners speak HTTPS, and HTTP is redirected where that is asked for."""
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    recorder = declare(certificate=arn, redirect=80)
    assert recorder.seen["Listener web"]["protocol"] == "HTTPS"
    assert recorder.seen["Listener web"]["certificateArn"] == arn
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
