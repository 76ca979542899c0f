"""What the gcp target declares, under Pulumi's mocks and on an emulated project."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import declarations
from harness.declarations import LAUNCH, ROUTES, STACK, WEB, Recorder, declare_stack, declare_two
from harness.gcp.cloud import POLITE, PROJECT, REGION, ZONES, Cloud, start_cloud
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.clients import forget_clients
from immutable_servers.targets.gcp.found import Found
from immutable_servers.targets.gcp.names import HEADER, make_name, read_words
from immutable_servers.targets.shared.health import ANSWER_SECONDS

SERVICE = Scope("project", "dev", "web")
SETTINGS = {"project": PROJECT, "region": REGION, "verify_from": ["127.0.0.1/32"], "attempts": 1}
SCALING = {"web": {"max": 6, "cpu": 50}}
ACCOUNT = f"{make_name(SERVICE)}@{PROJECT}.iam.gserviceaccount.com"
RETAINED = ("URLMap", "TargetHttpProxy", "GlobalForwardingRule")


class Google(Recorder):
    """Answers as Google would."""

    def add(self, kind: str, name: str) -> dict[str, Any]:
        """Return links, address and group."""
        return {"selfLink": f"{kind}/{name}", "address": "203.0.113.7", "instanceGroup": "ig"}


@pytest.fixture(scope="module", autouse=True)
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Yield an emulated project, where SDK and settings lead."""
    folder = tmp_path_factory.mktemp("cloud")
    with start_cloud(folder) as cloud, pytest.MonkeyPatch.context() as patch:
        cloud.set_manners(**POLITE)
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        forget_clients()
        yield cloud
    forget_clients()


make_spec = partial(
    declarations.make_spec,
    f"projects/{PROJECT}/global/images/im-app-1",
    {"window_ends": 99, "launched_at": 9},
)


def start(recorder: Recorder, settings: Mapping[str, Any], owner: Owner) -> Graph:
    """Start a graph whose owner the recorder keeps."""
    target = GcpTarget({**SETTINGS, **settings})
    target.ask_once()
    # The address is a mock, which the emulated project does not know.
    target.ownership.write_owner = recorder.owned.append  # type: ignore[assignment,method-assign]
    return target.start_graph(STACK, owner)


def declare(
    routes: Sequence[Route] = ROUTES,
    *,
    frozen: bool = False,
    spec: dict[str, Any] | None = None,
    **settings: Any,  # noqa: ANN401 - plain values
) -> Recorder:
    """Declare a balancer and one generation; return what was registered."""
    recorder = Google()
    begin = partial(start, recorder, settings)
    declare_stack(recorder, begin, routes, spec or make_spec(), frozen=frozen)
    return recorder


def test_every_resource_has_a_steady_name() -> None:
    """The balancer's resources have fixed names, a generation's carry its id."""
    recorder = declare()
    assert {*recorder.seen} == {
        "gcp gcp",
        "GlobalAddress balancer",
        "BackendService closed",
        "URLMap web",
        "GcpPointer web.8080",
        "TargetHttpProxy web",
        "GlobalForwardingRule port.8080",
        "URLMap by.host",
        "GcpPointer api.api.example.com",
        "TargetHttpProxy by.host",
        "GlobalForwardingRule port.80",
        "Account web",
        "Firewall web-closed",
        "GcpGeneration web-3f2a9c41",
        "HealthCheck web-3f2a9c41",
        "Firewall web-3f2a9c41",
        "InstanceTemplate web-3f2a9c41",
        "RegionInstanceGroupManager web-3f2a9c41",
        "BackendService web-3f2a9c41",
        "GcpFleet web-3f2a9c41",
    }
    assert recorder.address == "http://203.0.113.7:8080"


def test_names_at_google_are_ours_and_short() -> None:
    """Each is computed, fits into 63 letters, and its description says whose it is."""
    for name, inputs in declare().seen.items():
        if name.partition(" ")[0] in ("gcp", "Account") or name.startswith("Gcp"):
            continue
        assert len(inputs["name"]) <= 63, name
        assert read_words(inputs)["project"] == "project", name
        wanted = WEB.generation if name.endswith(WEB.generation) else None
        assert read_words(inputs).get("generation") == wanted, name


def test_what_is_protected_and_what_is_left_alone() -> None:
    """Address and closed service are protected; what leads to servers is never deleted unasked.

    The engine only lets go of it: whatever it believes, what serves stays. Pointers and
    generations have it deleted, so they come before, and go after, what they delete.
    """
    recorder = declare()
    requests = recorder.monitor.requests
    protected = {name for name, request in requests.items() if request.protect}
    assert protected == {"GlobalAddress balancer", "BackendService closed"}
    retained = {name for name, request in requests.items() if request.retainOnDelete}
    assert retained == {
        *(name for name in requests if name.startswith(RETAINED)),
        "BackendService closed",
        "Firewall web-3f2a9c41",
        "HealthCheck web-3f2a9c41",
        "InstanceTemplate web-3f2a9c41",
        "RegionInstanceGroupManager web-3f2a9c41",
        "BackendService web-3f2a9c41",
    }
    for name in retained:
        if name.endswith(WEB.generation):
            assert "GcpGeneration web-3f2a9c41" in recorder.find_dependencies(name), name
    assert "GcpPointer web.8080" in recorder.find_dependencies("TargetHttpProxy web")
    before = recorder.find_dependencies("GcpPointer web.8080")
    assert before >= {"URLMap web", "GlobalAddress balancer"}
    assert "BackendService closed" in recorder.find_dependencies("URLMap web")
    before = recorder.find_dependencies("GcpGeneration web-3f2a9c41")
    assert before >= {"GlobalForwardingRule port.8080", "Account web", "Firewall web-closed"}
    for name, request in requests.items():
        if request.type.startswith("gcp:"):
            assert request.provider.rpartition("::")[0].endswith("::gcp"), name


def test_the_provider_makes_maps_and_never_changes_them() -> None:
    """It would put back all that it believes: each list is named, since `*` is the engine's alone.

    Until a service has its part, a host that leads nowhere is answered with 404.
    """
    recorder = declare()
    for name in ("URLMap web", "URLMap by.host"):
        assert {*recorder.monitor.requests[name].ignoreChanges} == {
            "*", "pathMatchers", "hostRules", "defaultRouteAction", "defaultService", "tests"
        }  # fmt: skip
        action = recorder.seen[name]["defaultRouteAction"]
        assert action["faultInjectionPolicy"]["abort"] == {"httpStatus": 404, "percentage": 100}
        assert action["weightedBackendServices"][0]["backendService"] == "BackendService-closed-id"


def test_a_fresh_generation_ignores_nothing() -> None:
    """What is made for the first time is made as the program says."""
    requests = declare().monitor.requests
    assert {
        name
        for name, request in requests.items()
        if name.endswith("3f2a9c41") and request.ignoreChanges
    } == set()


def test_a_frozen_generation_changes_its_count_alone() -> None:
    """Of what exists only the number of servers follows the settings, and who may reach it.

    Each argument is named beside `*`, which a provider does not understand, and so are the lists
    that a refresh would cut to what the program said.
    """
    requests = declare(frozen=True, security_policy="office").monitor.requests
    for kind in ("Firewall", "HealthCheck", "InstanceTemplate"):
        name = f"{kind} web-3f2a9c41"
        given = {*requests[name].object} - {"__defaults"}
        assert {*requests[name].ignoreChanges} == {"*", *given}, name
    group = requests["RegionInstanceGroupManager web-3f2a9c41"]
    given = {*group.object} - {"__defaults"}
    # The last one is no word of Google's: with it the provider waits.
    assert given - {*group.ignoreChanges} == {"targetSize", "waitForInstances"}
    assert {*group.ignoreChanges} >= {
        "versions",
        "autoHealingPolicies",
        "allInstancesConfig",
        "instanceLifecyclePolicy",
        "updatePolicy",
        "namedPorts",
        "distributionPolicyZones",
    }
    service = requests["BackendService web-3f2a9c41"]
    assert {*service.object} - {"__defaults"} - {*service.ignoreChanges} == {"securityPolicy"}
    assert {*service.ignoreChanges} >= {"backends", "customResponseHeaders"}
    assert "servers" not in requests["GcpFleet web-3f2a9c41"].ignoreChanges


def test_a_frozen_generation_of_a_size_that_is_gone() -> None:
    """A size that left the settings stops no generation that was launched with it."""
    launch = {**LAUNCH, "size": "huge"}
    declare(frozen=True, spec=make_spec(launch=launch))
    with pytest.raises(SettingsError, match="huge"):
        declare(spec=make_spec(launch=launch))


def test_the_template_is_sealed_and_safe_by_default() -> None:
    """Shielded, without the project's keys, with an account without rights and the record."""
    inputs = declare().seen["InstanceTemplate web-3f2a9c41"]
    (disk,) = inputs["disks"]
    assert disk["sourceImage"].endswith("/images/im-app-1")
    assert (disk["boot"], disk["autoDelete"]) == (True, True)
    assert {*inputs["shieldedInstanceConfig"].values()} == {True}
    assert inputs["serviceAccount"]["email"] == ACCOUNT
    metadata = inputs["metadata"]
    assert metadata["block-project-ssh-keys"] == "TRUE"
    assert metadata["enable-oslogin"] == "FALSE"
    assert "serial-port-enable" not in metadata
    launch = json.loads(metadata["immutable-launch"])
    assert launch["env"] == {"GREETING": "hello"}
    assert not {"login_key", "inspection_key", "window_ends"} & {*launch}


def test_the_template_is_the_same_in_each_run() -> None:
    """One that a killed run left is what the next run would make: the group has the window."""
    first = declare().seen["InstanceTemplate web-3f2a9c41"]
    record = {"generation": "3f2a9c41", "order": 1, "window_ends": 7, "launched_at": 5}
    spec = make_spec(record=record, window_ends=7, public_key="ssh-ed25519 BBBB")
    again = declare(spec=spec)
    assert again.seen["InstanceTemplate web-3f2a9c41"] == first
    assert json.loads(first["metadata"]["immutable-record"]) == {
        "generation": "3f2a9c41", "order": 1
    }  # fmt: skip
    group = again.seen["RegionInstanceGroupManager web-3f2a9c41"]
    assert read_words(group)["window-ends"] == "7"
    window = json.loads(group["allInstancesConfig"]["metadata"]["immutable-window"])
    assert (window["login_key"], window["window_ends"]) == ("ssh-ed25519 BBBB", 7)


def test_the_group_touches_no_server_until_it_is_verified() -> None:
    """A candidate stays as it is for inspection; no template is rolled out to what runs."""
    recorder = declare()
    group = recorder.seen["RegionInstanceGroupManager web-3f2a9c41"]
    assert group["updatePolicy"]["type"] == "OPPORTUNISTIC"
    assert group["updatePolicy"]["instanceRedistributionType"] == "NONE"
    policy = group["instanceLifecyclePolicy"]
    assert policy == {"defaultActionOnFailure": "DO_NOTHING", "forceUpdateOnRepair": "YES"}
    assert "autoHealingPolicies" not in group
    assert (group["targetSize"], group["waitForInstances"]) == (2, False)
    assert group["distributionPolicyZones"] == [*ZONES]
    assert group["distributionPolicyTargetShape"] == "BALANCED"
    (port,) = group["namedPorts"]
    assert port == {"name": "http", "port": 80}
    before = recorder.find_dependencies("GcpFleet web-3f2a9c41")
    assert before >= {"RegionInstanceGroupManager web-3f2a9c41", "BackendService web-3f2a9c41"}


def test_servers_are_reached_by_the_balancer_alone() -> None:
    """Google's default network lets anybody reach SSH: a rule of the service's shuts that."""
    seen = declare().seen
    closed, opened = seen["Firewall web-closed"], seen["Firewall web-3f2a9c41"]
    assert closed["denies"] == [{"protocol": "all"}]
    assert closed["sourceRanges"] == ["0.0.0.0/0"]
    assert opened["allows"] == [{"protocol": "tcp", "ports": ["80"]}]
    assert opened["sourceRanges"] == ["35.191.0.0/16", "130.211.0.0/22"]
    assert opened["priority"] < closed["priority"] < 65534
    assert {closed["direction"], opened["direction"]} == {"INGRESS"}
    # Whatever account a later program gives them: the one rule closes old servers and new ones.
    assert closed["targetTags"] == seen["InstanceTemplate web-3f2a9c41"]["tags"]
    assert opened["targetServiceAccounts"] == [ACCOUNT]


def test_an_autoscaler_is_made_off_and_left_alone() -> None:
    """The provider writes neither limits nor mode later, nor the number that it scales."""
    fresh, frozen = declare(scaling=SCALING), declare(scaling=SCALING, frozen=True)
    scaler = fresh.seen["RegionAutoscaler web-3f2a9c41"]
    assert scaler["target"] == "RegionInstanceGroupManager-web-3f2a9c41-id"
    assert scaler["autoscalingPolicy"] == {
        "minReplicas": 2,
        "maxReplicas": 6,
        "cpuUtilization": {"target": 0.5},
        "mode": "OFF",
    }
    requests = frozen.monitor.requests
    kept = requests["RegionAutoscaler web-3f2a9c41"]
    assert {*kept.object} - {"__defaults"} < {*kept.ignoreChanges}
    assert kept.retainOnDelete
    assert "targetSize" in requests["RegionInstanceGroupManager web-3f2a9c41"].ignoreChanges
    assert frozen.find_dependencies("RegionAutoscaler web-3f2a9c41") >= {
        "GcpGeneration web-3f2a9c41",
        "RegionInstanceGroupManager web-3f2a9c41",
    }


def test_limits_follow_the_settings_in_place() -> None:
    """They are inputs of our own resources, of what exists too, and none without the setting."""
    fleet, base = "GcpFleet web-3f2a9c41", "GcpGeneration web-3f2a9c41"
    scaled, plain = declare(scaling=SCALING, frozen=True), declare(frozen=True)
    assert scaled.seen[fleet]["scaling"] == {"max": 6, "cpu": 50}
    assert not {"scaling", "servers"} & {*scaled.monitor.requests[fleet].ignoreChanges}
    assert "RegionAutoscaler web-3f2a9c41" in scaled.find_dependencies(fleet)
    assert scaled.seen[base]["scaled"] is True
    assert "scaling" not in plain.seen[fleet]
    assert "scaled" not in plain.seen[base]
    assert "RegionAutoscaler web-3f2a9c41" not in plain.seen


def test_an_old_generation_may_have_more_servers_than_the_most_of_now() -> None:
    """One that serves beside a candidate is declared with its own number."""
    scaled = declare(scaling=SCALING, frozen=True, spec=make_spec(servers=9))
    policy = scaled.seen["RegionAutoscaler web-3f2a9c41"]["autoscalingPolicy"]
    assert (policy["minReplicas"], policy["maxReplicas"]) == (6, 6)


def test_an_account_of_the_users() -> None:
    """It is not made; rules are about the service's tag, since the account may have others."""
    email = "app@other.iam.gserviceaccount.com"
    seen = declare(service_accounts={"web": email}).seen
    assert "Account web" not in seen
    template = seen["InstanceTemplate web-3f2a9c41"]
    assert template["serviceAccount"]["email"] == email
    for name in ("Firewall web-closed", "Firewall web-3f2a9c41"):
        assert seen[name]["targetTags"] == template["tags"] == [make_name(SERVICE)]
        assert "targetServiceAccounts" not in seen[name]


def test_the_balancer_names_the_generation() -> None:
    """It adds the header to answers, unless the service does without; health is asked in time."""
    seen = declare().seen
    service, check = seen["BackendService web-3f2a9c41"], seen["HealthCheck web-3f2a9c41"]
    assert service["customResponseHeaders"] == [f"{HEADER}: web-3f2a9c41"]
    assert service["loadBalancingScheme"] == "EXTERNAL_MANAGED"
    assert (service["timeoutSec"], service["connectionDrainingTimeoutSec"]) == (30, 30)
    assert service["backends"][0]["group"] == "ig"
    assert check["httpHealthCheck"] == {"port": 80, "requestPath": "/healthz"}
    assert check["timeoutSec"] == ANSWER_SECONDS < check["checkIntervalSec"]
    quiet = declare(spec=make_spec(launch={**LAUNCH, "generation_header": False}), timeout=300)
    assert quiet.seen["BackendService web-3f2a9c41"]["customResponseHeaders"] == []
    assert quiet.seen["BackendService web-3f2a9c41"]["timeoutSec"] == 300


def test_https_comes_with_a_certificate() -> None:
    """Proxies speak HTTPS from TLS 1.2 on, one certificate a domain; HTTP may be redirected.

    Services by host name share another port then, whose pointers are others.
    """
    domains = ["www.example.com", "api.example.com"]
    recorder = declare(certificate=domains, redirect=80)
    seen = recorder.seen
    assert [seen[f"ManagedSslCertificate {one}"]["managed"]["domains"] for one in domains] == [
        [one] for one in domains
    ]
    for title, port in (("web", 8080), ("by.host", 443)):
        proxy = seen[f"TargetHttpsProxy {title}"]
        assert len(proxy["sslCertificates"]) == len(domains)
        assert seen[f"GlobalForwardingRule port.{port}.https"]["portRange"] == str(port)
    assert seen["SSLPolicy balancer"]["minTlsVersion"] == "TLS_1_2"
    redirect = seen["URLMap redirect.http"]["defaultUrlRedirect"]
    assert redirect["httpsRedirect"]
    rule = seen["GlobalForwardingRule port.80"]
    assert rule["target"] == "TargetHttpProxy-redirect.http-id"
    before = recorder.find_dependencies("GcpPointer api.api.example.com")
    assert before >= {"ManagedSslCertificate api.example.com", "SSLPolicy balancer"}
    assert seen["GcpPointer api.api.example.com"]["port"] == 443


@pytest.mark.parametrize(
    ("settings", "port", "said"),
    [
        ({"shared_port": 8080}, 8080, "the service api by the host api.example.com"),
        ({"certificate": ["www.example.com"], "redirect": 8080}, 8080, "the redirect to HTTPS"),
        ({"certificate": ["www.example.com"], "redirect": 443}, 443, "the redirect to HTTPS"),
    ],
)
def test_a_port_leads_to_one_place(settings: dict[str, Any], port: int, said: str) -> None:
    """It has one forwarding rule; the engine alone would speak of a URN that is there twice."""
    with pytest.raises(SettingsError, match=f"The port {port} cannot lead to all") as caught:
        declare(**settings)
    assert said in caught.value.facts
    assert len(caught.value.facts) == 2


def test_launch_overrides_pass_through() -> None:
    """Anything else of a template can be said, but not what makes a generation."""
    spot = {"scheduling": {"preemptible": True, "automatic_restart": False}}
    extra = {"disks": [{"disk_size_gb": 10}], "tags": ["office"]}
    recorder = declare(spec=make_spec(launch={**LAUNCH, "overrides": {**spot, **extra}}))
    inputs = recorder.seen["InstanceTemplate web-3f2a9c41"]
    assert inputs["scheduling"] == {"preemptible": True, "automaticRestart": False}
    boot, more = inputs["disks"]
    assert (boot["sourceImage"][-8:], more["diskSizeGb"]) == ("im-app-1", 10)
    assert inputs["tags"] == [make_name(SERVICE), "office"]
    for wrong in ("metadata", "no_such", "service_account"):
        with pytest.raises(SettingsError, match="launch_overrides") as caught:
            declare(spec=make_spec(launch={**LAUNCH, "overrides": {wrong: "x"}}))
        assert wrong in str(caught.value)


def test_a_startup_script_is_refused() -> None:
    """The image runs none, and the preview says where it belongs; what runs is left alone."""
    launch = {**LAUNCH, "overrides": {"metadata_startup_script": "apt-get install -y cowsay"}}
    with pytest.raises(SettingsError, match="bake what it does into the image"):
        declare(spec=make_spec(launch=launch))
    kept = declare(spec=make_spec(launch=launch), frozen=True)
    assert "metadataStartupScript" in kept.seen["InstanceTemplate web-3f2a9c41"]
    keys = {**LAUNCH, "overrides": {"metadata": {"startup-script": "true"}}}
    with pytest.raises(SettingsError, match="metadata is the program's own"):
        declare(spec=make_spec(launch=keys))


@pytest.mark.parametrize(
    ("proxies", "settings"),
    [("targetHttpProxies", {"certificate": ["www.example.com"]}), ("targetHttpsProxies", {})],
)
def test_a_port_in_use_keeps_its_protocol(
    monkeypatch: pytest.MonkeyPatch, proxies: str, settings: dict[str, Any]
) -> None:
    """It would answer nobody between two rules; the preview names the two runs that do it."""
    name = make_name(SERVICE)
    rule = {"target": f"projects/{PROJECT}/global/{proxies}/{name}"}
    monkeypatch.setattr(Found, "rules", {f"{make_name(STACK)}-8080": rule})
    declare(**settings)  # nobody is served there
    monkeypatch.setattr(Found, "is_serving", lambda _, found: found == name)
    with pytest.raises(SettingsError, match="The port 8080 is in use") as caught:
        declare(**settings)
    assert "in two runs" in caught.value.todo
    declare([Route("web", 8081)], **settings)


def test_a_redirect_waits_for_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """While servers are served there it would send their visitors where nobody serves yet."""
    name = make_name(SERVICE)
    rule = {"target": f"projects/{PROJECT}/global/targetHttpProxies/{name}"}
    monkeypatch.setattr(Found, "rules", {f"{make_name(STACK)}-80": rule})
    monkeypatch.setattr(Found, "is_serving", lambda _, found: found == name)
    secure: dict[str, Any] = {"certificate": ["www.example.com"]}
    with pytest.raises(SettingsError, match="The port 80 cannot redirect yet") as caught:
        declare([Route("web", 443)], **secure, redirect=80)
    assert "without redirect first" in caught.value.todo
    declare([Route("web", 443)], **secure)


def test_generations_that_exist_are_declared_one_after_the_other() -> None:
    """In the state they may share what no program declares; they do not depend on each other."""
    recorder = Google()
    declare_two(recorder, partial(start, recorder, {}), "GcpGeneration")
    second = "GcpGeneration web-00000002"
    assert recorder.late
    assert second not in recorder.late
    assert "GcpGeneration web-3f2a9c41" not in recorder.find_dependencies(second)


def test_the_owner_is_recorded_when_the_address_is_first_made() -> None:
    """Before there is one the update could not."""
    (found,) = declare().owned
    assert found.stack == "dev"


def test_without_a_way_to_servers_the_preview_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Servers without external addresses and no gcloud on this machine: said at once."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="gcloud"):
        declare(public_addresses=False)
