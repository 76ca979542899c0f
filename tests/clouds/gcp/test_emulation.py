"""The emulated cloud's own manners: each is there, and can be turned off."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from googleapiclient.errors import HttpError

from clouds.gcp.emulation import parts
from clouds.gcp.emulation.calls import HANDLERS
from clouds.gcp.emulation.documents import VERSIONS, read_document
from clouds.gcp.emulation.permissions import OTHERS
from harness.emulated_cloud import OURS
from harness.gcp.cloud import POLITE, PROJECT, REGION, ZONES, Cloud, start_cloud
from harness.gcp.roles import find_refused
from harness.local_stack import wait_until

ZONE = ZONES[1]
SECONDS = 20
"""How long what was brought about may take to be seen."""
GLOBAL = f"projects/{PROJECT}/global"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a cloud of this module."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: Cloud) -> Iterator[Cloud]:
    """Return the cloud, quick and even; what a test took away or made is back, or gone."""
    shared.set_manners(**POLITE)
    yield shared
    shared.set_manners(**POLITE)
    shared.clear_faults()
    shared.deny()
    shared.disable()
    for collection in (
        "globalForwardingRules",
        "targetHttpProxies",
        "urlMaps",
        "backendServices",
        "healthChecks",
        "globalAddresses",
        "instanceTemplates",
        "images",
    ):
        kind = getattr(shared.client(), collection)()
        for thing in kind.list(project=PROJECT).execute().get("items", []):
            do(shared, collection, "delete", **{KEYS[collection]: thing["name"]})
    for zone in ZONES:
        for thing in (
            shared.client().instances().list(project=PROJECT, zone=zone).execute().get("items", [])
        ):
            do(shared, "instances", "delete", zone=zone, instance=thing["name"])
        for thing in (
            shared.client().disks().list(project=PROJECT, zone=zone).execute().get("items", [])
        ):
            do(shared, "disks", "delete", zone=zone, disk=thing["name"])


KEYS = {
    "backendServices": "backendService",
    "globalAddresses": "address",
    "globalForwardingRules": "forwardingRule",
    "healthChecks": "healthCheck",
    "images": "image",
    "instanceTemplates": "instanceTemplate",
    "targetHttpProxies": "targetHttpProxy",
    "urlMaps": "urlMap",
}
"""The name of one thing, as methods take it."""


def do(cloud: Cloud, collection: str, method: str, *, agent: str = "", **words: Any) -> Any:  # noqa: ANN401 - the API's
    """Call a method and wait for its operation; return the last answer.

    Raises:
        HttpError: It was refused.
        AssertionError: The operation ended with an error.
    """
    client = cloud.client(agent=agent)
    answer = getattr(getattr(client, collection)(), method)(project=PROJECT, **words).execute()
    if answer.get("kind") != "compute#operation":
        return answer
    done = wait(cloud, answer)
    assert "error" not in done, done["error"]["errors"][0]["code"]
    return done


def wait(cloud: Cloud, operation: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the API's
    """Wait for an operation."""
    place = next((word for word in ("zone", "region") if word in operation), "global")
    words = {} if place == "global" else {place: operation[place].rpartition("/")[2]}
    operations = getattr(cloud.client(), f"{place}Operations")()
    return operations.wait(project=PROJECT, operation=operation["name"], **words).execute()


def refuse(cloud: Cloud, *call: str, **words: Any) -> str:  # noqa: ANN401 - the API's
    """Return the reason for which a call is refused."""
    with pytest.raises(HttpError) as caught:
        do(cloud, *call, **words)
    return read_reason(caught.value)


def read_reason(error: HttpError) -> str:
    """Return the reason of a refusal by Compute Engine."""
    return str(json.loads(error.content)["error"]["errors"][0]["reason"])


def make_service(cloud: Cloud, name: str = "closed", **words: Any) -> str:  # noqa: ANN401 - the API's
    """Make a backend service and return its path."""
    body = {"name": name, "loadBalancingScheme": "EXTERNAL_MANAGED", **words}
    do(cloud, "backendServices", "insert", body=body)
    return f"{GLOBAL}/backendServices/{name}"


def make_map(cloud: Cloud, **words: Any) -> str:  # noqa: ANN401 - the API's
    """Make a map and return its path."""
    body = {"name": "web", "defaultService": f"{GLOBAL}/backendServices/closed", **words}
    do(cloud, "urlMaps", "insert", body=body)
    return f"{GLOBAL}/urlMaps/web"


def read_map(cloud: Cloud) -> Any:  # noqa: ANN401 - the API's
    """Return the map."""
    return do(cloud, "urlMaps", "get", urlMap="web")


def make_instance(cloud: Cloud, name: str = "one", **words: Any) -> str:  # noqa: ANN401 - the API's
    """Make an instance on Debian and return its path."""
    disk = {
        "boot": True,
        "autoDelete": words.pop("autoDelete", True),
        "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-13"},
    }
    body = {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "disks": [disk],
        "networkInterfaces": [{"network": "global/networks/default"}],
        **words,
    }
    do(cloud, "instances", "insert", zone=ZONE, body=body)
    return f"projects/{PROJECT}/zones/{ZONE}/instances/{name}"


# by Google's documents
def test_what_is_answered_is_in_googles_documents() -> None:
    """Each method that is emulated, and each that needs an unusual permission, is Google's."""
    known = {
        method.name
        for place in VERSIONS
        for methods in read_document(place).methods.values()
        for method in methods
    }
    assert parts.MODULES
    assert HANDLERS.keys() | OTHERS.keys() <= known


def test_a_request_that_is_not_as_the_document_says_is_refused_and_fails_the_test(
    cloud: Cloud,
) -> None:
    """An unknown field is refused as Google does, and an alarm says which."""
    body = {"name": "web", "loadBalancingSchema": "EXTERNAL_MANAGED"}
    assert refuse(cloud, "backendServices", "insert", body=body) == "invalid"
    (alarm,) = cloud.take_alarms()
    assert alarm["event"] == "refused"
    assert "loadBalancingSchema" in alarm["why"]


def test_what_is_not_emulated_is_refused_and_fails_the_test(cloud: Cloud) -> None:
    """No call is answered by chance."""
    assert refuse(cloud, "instances", "suspend", zone=ZONE, instance="one") == "notEmulated"
    assert refuse(cloud, "images", "list", filter="name ~ x") == "notEmulated"
    assert [alarm["event"] for alarm in cloud.take_alarms()] == ["refused", "refused"]


def test_both_versions_are_over_one_store(cloud: Cloud) -> None:
    """What v1 made is in beta, whose links are its own."""
    make_service(cloud)
    link = do(cloud, "backendServices", "get", backendService="closed")["selfLink"]
    body, code = cloud.ask("GET", f"compute/beta/{GLOBAL}/backendServices/closed")
    assert code == 200
    assert body["selfLink"] == link.replace("/v1/", "/beta/")


def test_a_place_that_is_not_there_is_refused(cloud: Cloud) -> None:
    """A list of nowhere is no empty one."""
    for path in ("projects/other/global/urlMaps", f"projects/{PROJECT}/zones/moon-1/instances"):
        body, code = cloud.ask("GET", f"compute/v1/{path}")
        place = path.rpartition("/")[0].removesuffix("/global")
        assert (code, body["error"]["message"]) == (404, f"The resource '{place}' was not found")


def test_each_api_refuses_in_its_own_words(cloud: Cloud) -> None:
    """Compute Engine gives reasons, and newer APIs a status."""
    old, _ = cloud.ask("GET", f"compute/v1/{GLOBAL}/urlMaps/none")
    assert old["error"]["errors"][0]["reason"] == "notFound"
    account = f"projects/{PROJECT}/serviceAccounts/a@{PROJECT}.iam.gserviceaccount.com"
    new, _ = cloud.ask("GET", f"iam/v1/{account}")
    assert new["error"]["status"] == "NOT_FOUND"
    assert "errors" not in new["error"]
    cloud.disable("iam")
    off, code = cloud.ask("GET", f"iam/v1/{account}")
    assert (code, off["error"]["details"][0]["reason"]) == (403, "SERVICE_DISABLED")


# names, references, fingerprints
def test_a_name_is_taken_once(cloud: Cloud) -> None:
    """A second thing of a name is refused, also while the first is being made."""
    make_service(cloud)
    body = {"name": "closed", "loadBalancingScheme": "EXTERNAL_MANAGED"}
    assert refuse(cloud, "backendServices", "insert", body=body) == "alreadyExists"
    cloud.set_manners(operation=1.5)
    start = cloud.client().healthChecks().insert
    health = {"name": "health", "type": "HTTP", "httpHealthCheck": {"port": 80}}
    operation = start(project=PROJECT, body=health).execute()
    assert refuse(cloud, "healthChecks", "get", healthCheck="health") == "notFound"
    assert refuse(cloud, "healthChecks", "insert", body=health) == "alreadyExists"
    assert wait(cloud, operation)["status"] == "DONE"


def test_a_reference_must_be_there(cloud: Cloud) -> None:
    """Nothing refers to what is not there."""
    make_service(cloud)
    wrong = {"name": "web", "urlMap": f"{GLOBAL}/urlMaps/none"}
    assert refuse(cloud, "targetHttpProxies", "insert", body=wrong) == "notFound"


def test_an_old_fingerprint_is_refused(cloud: Cloud) -> None:
    """A map changes only for who has read it since its last change."""
    make_service(cloud)
    make_map(cloud)
    first = read_map(cloud)["fingerprint"]
    body = {"description": "new", "fingerprint": first}
    do(cloud, "urlMaps", "patch", urlMap="web", body=body)
    assert read_map(cloud)["fingerprint"] != first
    assert refuse(cloud, "urlMaps", "patch", urlMap="web", body=body) == "conditionNotMet"
    whole = {**read_map(cloud), "fingerprint": first}
    assert refuse(cloud, "urlMaps", "update", urlMap="web", body=whole) == "conditionNotMet"
    assert refuse(cloud, "urlMaps", "patch", urlMap="web", body={}) == "conditionNotMet"


def test_a_patch_merges_objects_replaces_arrays_and_clears_by_null(cloud: Cloud) -> None:
    """As a JSON merge patch does."""
    make_service(
        cloud, connectionDraining={"drainingTimeoutSec": 30}, customResponseHeaders=["A:b"]
    )
    known = do(cloud, "backendServices", "get", backendService="closed")
    body = {
        "fingerprint": known["fingerprint"],
        "customResponseHeaders": ["C:d"],
        "timeoutSec": None,
        "logConfig": {"enable": True},
    }
    do(cloud, "backendServices", "patch", backendService="closed", body=body)
    now = do(cloud, "backendServices", "get", backendService="closed")
    assert now["connectionDraining"] == {"drainingTimeoutSec": 30}
    assert now["customResponseHeaders"] == ["C:d"]
    assert "timeoutSec" not in now


def test_labels_have_a_fingerprint_of_their_own(cloud: Cloud) -> None:
    """Labels change only for who has read them since."""
    do(cloud, "globalAddresses", "insert", body={"name": "web"})
    first = do(cloud, "globalAddresses", "get", address="web")["labelFingerprint"]
    body = {"labels": {"a": "b"}, "labelFingerprint": first}
    do(cloud, "globalAddresses", "setLabels", resource="web", body=body)
    assert do(cloud, "globalAddresses", "get", address="web")["labels"] == {"a": "b"}
    assert refuse(cloud, "globalAddresses", "setLabels", resource="web", body=body) == (
        "conditionNotMet"
    )


def test_what_is_used_stays_until_its_user_is_gone(cloud: Cloud) -> None:
    """The chain of a balancer goes from its front to its back."""
    make_service(cloud)
    path = make_map(cloud)
    do(cloud, "targetHttpProxies", "insert", body={"name": "web", "urlMap": path})
    do(cloud, "globalAddresses", "insert", body={"name": "web"})
    rule = {
        "name": "web",
        "target": f"{GLOBAL}/targetHttpProxies/web",
        "IPAddress": f"{GLOBAL}/addresses/web",
        "portRange": "80",
        "loadBalancingScheme": "EXTERNAL_MANAGED",
    }
    do(cloud, "globalForwardingRules", "insert", body=rule)
    assert do(cloud, "globalAddresses", "get", address="web")["status"] == "IN_USE"
    chain = {
        "globalAddresses": "web",
        "targetHttpProxies": "web",
        "urlMaps": "web",
        "backendServices": "closed",
    }
    for collection, name in chain.items():
        words = {KEYS[collection]: name}
        assert refuse(cloud, collection, "delete", **words) == "resourceInUseByAnotherResource"
    do(cloud, "globalForwardingRules", "delete", forwardingRule="web")
    for collection, name in chain.items():
        do(cloud, collection, "delete", **{KEYS[collection]: name})


def test_a_thing_may_count_as_used_for_a_while(cloud: Cloud) -> None:
    """Its user is gone, and it is refused for some seconds more."""
    make_service(cloud)
    make_map(cloud)
    cloud.set_manners(linger=3.0)
    do(cloud, "urlMaps", "delete", urlMap="web")
    refused = refuse(cloud, "backendServices", "delete", backendService="closed")
    assert refused == "resourceInUseByAnotherResource"
    wait_until(lambda: not try_delete(cloud), SECONDS)


def try_delete(cloud: Cloud) -> str:
    """Return why the closed service cannot be deleted; empty when it has been."""
    try:
        do(cloud, "backendServices", "delete", backendService="closed")
    except HttpError as error:
        return read_reason(error)
    return ""


def test_an_address_and_port_lead_to_one_place(cloud: Cloud) -> None:
    """A second rule for them is refused."""
    make_service(cloud)
    do(cloud, "targetHttpProxies", "insert", body={"name": "web", "urlMap": make_map(cloud)})
    do(cloud, "globalAddresses", "insert", body={"name": "web"})
    rule = {
        "target": f"{GLOBAL}/targetHttpProxies/web",
        "IPAddress": f"{GLOBAL}/addresses/web",
        "portRange": "80-80",
    }
    do(cloud, "globalForwardingRules", "insert", body={"name": "one", **rule})
    second = {"name": "two", **rule}
    assert refuse(cloud, "globalForwardingRules", "insert", body=second) == "invalid"
    do(cloud, "globalForwardingRules", "insert", body={**second, "portRange": "81"})


# maps
ABORT = {"abort": {"httpStatus": 503, "percentage": 100}}
SERVICE = f"{GLOBAL}/backendServices/closed"
WRONG: Mapping[str, Mapping[str, Any]] = {
    "two targets": {"defaultUrlRedirect": {"httpsRedirect": True}},
    "no weight": {
        "defaultService": None,
        "defaultRouteAction": {
            "weightedBackendServices": [{"backendService": SERVICE, "weight": 0}]
        },
    },
    "a service that is not there": {"defaultService": f"{GLOBAL}/backendServices/none"},
    "a host rule without its matcher": {"hostRules": [{"hosts": ["*"], "pathMatcher": "web"}]},
    "a matcher without a host": {"pathMatchers": [{"name": "web", "defaultService": SERVICE}]},
    "priorities that are the same": {
        "hostRules": [{"hosts": ["*"], "pathMatcher": "web"}],
        "pathMatchers": [
            {
                "name": "web",
                "defaultService": SERVICE,
                "routeRules": 2
                * [{"priority": 1, "matchRules": [{"prefixMatch": "/"}], "service": SERVICE}],
            }
        ],
    },
    "a weight above 1000": {
        "defaultService": None,
        "defaultRouteAction": {
            "weightedBackendServices": [{"backendService": SERVICE, "weight": 1001}]
        },
    },
    "a rule that leads nowhere": {
        "hostRules": [{"hosts": ["*"], "pathMatcher": "web"}],
        "pathMatchers": [
            {
                "name": "web",
                "defaultService": SERVICE,
                "routeRules": [{"priority": 1, "matchRules": [{"prefixMatch": "/"}]}],
            }
        ],
    },
}
"""What makes a map wrong."""


@pytest.mark.parametrize("what", WRONG)
def test_a_map_that_leads_nowhere_is_refused(cloud: Cloud, what: str) -> None:
    """A map is taken only when it makes sense, not for its form alone."""
    make_service(cloud)
    make_map(cloud)
    body = {**WRONG[what], "fingerprint": read_map(cloud)["fingerprint"]}
    assert refuse(cloud, "urlMaps", "patch", urlMap="web", body=body) in {"invalid", "notFound"}


def test_a_map_of_ours_is_taken(cloud: Cloud) -> None:
    """Weights, a way by header, and nobody: all that the target writes."""
    make_service(cloud)
    make_service(cloud, "web-1")
    nobody = {
        "faultInjectionPolicy": ABORT,
        "weightedBackendServices": [{"backendService": SERVICE, "weight": 1}],
    }
    header = {"headerName": "X-Immutable-Generation", "exactMatch": "web-1"}
    rule = {
        "priority": 5,
        "matchRules": [{"prefixMatch": "/", "headerMatches": [header]}],
        "service": f"{GLOBAL}/backendServices/web-1",
    }
    make_map(
        cloud,
        hostRules=[{"hosts": ["*"], "pathMatcher": "web"}],
        pathMatchers=[{"name": "web", "routeRules": [rule], "defaultRouteAction": nobody}],
    )
    known = read_map(cloud)
    assert known["pathMatchers"][0]["defaultRouteAction"]["faultInjectionPolicy"] == ABORT
    assert refuse(cloud, "backendServices", "delete", backendService="web-1") == (
        "resourceInUseByAnotherResource"
    )


# operations
def test_an_operation_takes_time(cloud: Cloud) -> None:
    """A change is seen when its operation is done, and another one beside it is refused."""
    make_service(cloud)
    make_map(cloud)
    cloud.set_manners(operation=3.0)
    known = read_map(cloud)
    body = {"fingerprint": known["fingerprint"], "description": "new"}
    operation = cloud.client().urlMaps().patch(project=PROJECT, urlMap="web", body=body).execute()
    assert operation["status"] == "RUNNING"
    assert "description" not in read_map(cloud)
    refused = {refuse(cloud, "urlMaps", "patch", urlMap="web", body=body) for _ in range(8)}
    assert refused == {"resourceNotReady", "conditionNotMet"}
    assert wait(cloud, operation)["status"] == "DONE"
    assert read_map(cloud)["description"] == "new"


def test_an_operation_may_end_with_an_error(cloud: Cloud) -> None:
    """HTTP was 200, and nothing has happened."""
    cloud.fail_operation("compute.backendServices.insert", "QUOTA_EXCEEDED", "no more")
    body = {"name": "closed", "loadBalancingScheme": "EXTERNAL_MANAGED"}
    operation = cloud.client().backendServices().insert(project=PROJECT, body=body).execute()
    done = wait(cloud, operation)
    assert done["error"]["errors"] == [{"code": "QUOTA_EXCEEDED", "message": "no more"}]
    assert refuse(cloud, "backendServices", "get", backendService="closed") == "notFound"
    make_service(cloud)


# lists
def test_lists_have_filters_and_pages(cloud: Cloud) -> None:
    """A stranger gets pages; each filter that is in use takes what it says."""
    for number in range(5):
        do(cloud, "globalAddresses", "insert", body={"name": f"web-{number}"})
        known = do(cloud, "globalAddresses", "get", address=f"web-{number}")
        body = {
            "labels": {"number": str(number), "odd": "yes"} if number % 2 else {},
            "labelFingerprint": known["labelFingerprint"],
        }
        do(cloud, "globalAddresses", "setLabels", resource=f"web-{number}", body=body)

    def find(filter_: str) -> list[str]:
        found = do(cloud, "globalAddresses", "list", filter=filter_)
        return [one["name"] for one in found.get("items", [])]

    assert find("labels.number=3") == ["web-3"]
    assert find("labels.odd:*") == ["web-1", "web-3"]
    assert find("name = web-2") == ["web-2"]
    assert find('name eq "web-[12]"') == ["web-1", "web-2"]
    assert find("(labels.odd=yes) AND (name != web-1)") == ["web-3"]
    assert find("(labels.odd:*) AND (labels.number:1)") == ["web-1"]
    assert find("name eq none.*") == []

    cloud.set_manners(page=2)
    names, token = [], ""
    while token is not None:
        more = {"pageToken": token} if token else {}
        page = do(cloud, "globalAddresses", "list", agent=OURS, **more)
        assert len(page["items"]) <= 2
        names += [one["name"] for one in page["items"]]
        token = page.get("nextPageToken")
    assert names == [f"web-{number}" for number in range(5)]
    assert len(do(cloud, "globalAddresses", "list")["items"]) == 5
    page = do(cloud, "globalAddresses", "list", agent=OURS)
    do(cloud, "globalAddresses", "delete", address="web-2")
    page = do(cloud, "globalAddresses", "list", agent=OURS, pageToken=page["nextPageToken"])
    assert [one["name"] for one in page["items"]] == ["web-3", "web-4"]


def test_a_list_may_say_what_was(cloud: Cloud) -> None:
    """Only a stranger's, and for `late_lists` seconds at most."""
    cloud.set_manners(late_lists=3600.0)
    make_service(cloud, "late")

    def find(agent: str) -> list[str]:
        return [
            one["name"]
            for one in do(cloud, "backendServices", "list", agent=agent).get("items", [])
        ]

    assert "late" not in find(OURS)
    assert "late" in find("")
    assert do(cloud, "backendServices", "get", agent=OURS, backendService="late")


def test_a_new_account_comes_late(cloud: Cloud) -> None:
    """IAM says for a while that there is none, as Google documents."""
    cloud.set_manners(stale=3600.0)
    accounts = f"projects/{PROJECT}/serviceAccounts"
    body = {"accountId": "web-1234"}
    made = (
        cloud.client("iam")
        .projects()
        .serviceAccounts()
        .create(name=f"projects/{PROJECT}", body=body)
        .execute()
    )
    assert made["name"] == f"{accounts}/web-1234@{PROJECT}.iam.gserviceaccount.com"
    for agent, there in ((OURS, False), ("", True)):
        asked = (
            cloud.client("iam", agent=agent)
            .projects()
            .serviceAccounts()
            .list(name=f"projects/{PROJECT}")
        )
        assert bool(asked.execute().get("accounts")) == there


# what goes wrong on demand
def test_calls_too_many_are_refused(cloud: Cloud) -> None:
    """A stranger is slowed down in both of Google's ways; a test is not."""
    cloud.set_manners(throttled=1.0)
    codes = set()
    for _ in range(4):
        with pytest.raises(HttpError) as caught:
            do(cloud, "urlMaps", "list", agent=OURS)
        assert read_reason(caught.value) == "rateLimitExceeded"
        codes.add(caught.value.status_code)
    assert codes == {403, 429}
    assert do(cloud, "urlMaps", "list")


def test_a_fault_is_counted_down(cloud: Cloud) -> None:
    """A method goes wrong as often as a test says."""
    cloud.set_fault("compute.urlMaps.list", "backendError", times=2)
    assert refuse(cloud, "urlMaps", "list") == "backendError"
    assert refuse(cloud, "urlMaps", "list") == "backendError"
    assert do(cloud, "urlMaps", "list")


def test_an_answer_may_be_lost_and_its_request_repeated(cloud: Cloud) -> None:
    """What was asked for is done; the same request again gives the same operation."""
    words: dict[str, Any] = {
        "body": {"name": "web"},
        "requestId": "7f9bd7b5-6f7c-4cd6-9fb7-6b3f54f0d001",
    }
    cloud.lose_answers("compute.globalAddresses.insert", times=2)  # httplib2 asks again by itself
    with pytest.raises(OSError, match=r"."):
        cloud.client().globalAddresses().insert(project=PROJECT, **words).execute()
    assert do(cloud, "globalAddresses", "get", address="web")
    assert do(cloud, "globalAddresses", "insert", **words)["status"] == "DONE"
    assert refuse(cloud, "globalAddresses", "insert", body={"name": "web"}) == "alreadyExists"


def test_access_may_be_missing(cloud: Cloud) -> None:
    """Without a permission, an API or credentials a call is refused in Google's words."""
    cloud.deny("compute.urlMaps.list")
    with pytest.raises(HttpError, match=r"Required 'compute\.urlMaps\.list' permission for"):
        do(cloud, "urlMaps", "list")
    asked = {"permissions": ["compute.urlMaps.list", "compute.urlMaps.get"]}
    projects = cloud.client("cloudresourcemanager").projects()
    given = projects.testIamPermissions(resource=PROJECT, body=asked).execute()
    assert given == {"permissions": ["compute.urlMaps.get"]}
    cloud.deny()
    cloud.disable("compute")
    assert refuse(cloud, "urlMaps", "list") == "accessNotConfigured"
    name = f"projects/{PROJECT}/services/compute.googleapis.com"
    services = cloud.client("serviceusage").services()
    assert services.get(name=name).execute()["state"] == "DISABLED"
    cloud.disable()
    assert cloud.ask("GET", f"compute/v1/{GLOBAL}/urlMaps", token="")[1] == 401


def test_each_call_says_which_permissions_it_needs(cloud: Cloud) -> None:
    """Roles can be held against the calls that were made."""
    cloud.read_new()
    do(cloud, "urlMaps", "list", agent=OURS)
    events = cloud.read_new()
    assert [event["needs"] for event in events if event["event"] == "api"] == [
        ["compute.urlMaps.list"]
    ]
    assert find_refused(events) == set()
    assert find_refused(events, "bake") == {"compute.urlMaps.list for compute.urlMaps.list"}


def test_what_there_is_can_be_changed_behind_the_api(cloud: Cloud) -> None:
    """A test says what a quota is, or that an image has failed."""
    region = f"projects/{PROJECT}/regions/{REGION}"
    cloud.put(region, quotas=[{"metric": "CPUS", "limit": 4, "usage": 4}])
    quotas = do(cloud, "regions", "get", region=REGION)["quotas"]
    assert quotas == [{"metric": "CPUS", "limit": 4, "usage": 4}]


# machines
def test_an_image_is_made_of_the_disk_that_stays(cloud: Cloud) -> None:
    """As Packer does it: the disk of a running instance is refused, and READY means whole."""
    make_instance(cloud, autoDelete=False)
    source = f"/compute/v1/projects/{PROJECT}/zones/{ZONE}/disks/one"
    body = {"name": "im-web-1", "sourceDisk": source, "family": "web", "labels": {"a": "b"}}
    assert refuse(cloud, "images", "insert", body=body) == "resourceInUseByAnotherResource"
    assert refuse(cloud, "disks", "delete", zone=ZONE, disk="one") == (
        "resourceInUseByAnotherResource"
    )
    do(cloud, "instances", "delete", zone=ZONE, instance="one")
    cloud.set_manners(operation=1.0)
    operation = cloud.client().images().insert(project=PROJECT, body=body).execute()
    assert do(cloud, "images", "get", image="im-web-1")["status"] == "PENDING"
    assert refuse(cloud, "images", "getFromFamily", family="web") == "notFound"
    wait(cloud, operation)
    cloud.set_manners(operation=0.0)
    made = do(cloud, "images", "getFromFamily", family="web")
    assert (made["name"], made["status"], made["architecture"]) == ("im-web-1", "READY", "X86_64")
    do(cloud, "images", "deprecate", image="im-web-1", body={})
    assert do(cloud, "images", "getFromFamily", family="web")
    do(cloud, "images", "deprecate", image="im-web-1", body={"state": "DEPRECATED"})
    assert refuse(cloud, "images", "getFromFamily", family="web") == "notFound"
    do(cloud, "disks", "delete", zone=ZONE, disk="one")


def test_an_instance_takes_its_disk_along_when_that_is_said(cloud: Cloud) -> None:
    """`autoDelete` decides what is left."""
    make_instance(cloud)
    assert do(cloud, "disks", "get", zone=ZONE, disk="one")["users"]
    do(cloud, "instances", "delete", zone=ZONE, instance="one")
    assert refuse(cloud, "disks", "get", zone=ZONE, disk="one") == "notFound"


def test_the_cloud_ends_an_instance_in_time(cloud: Cloud) -> None:
    """`maxRunDuration` needs nobody: a killed bake's instance goes by itself."""
    scheduling = {"maxRunDuration": {"seconds": "600"}, "instanceTerminationAction": "DELETE"}
    make_instance(cloud, scheduling=scheduling)
    cloud.pass_by(300)
    assert do(cloud, "instances", "get", zone=ZONE, instance="one")["status"] == "RUNNING"
    cloud.pass_by(301)
    wait_until(lambda: not do(cloud, "instances", "list", zone=ZONE).get("items"), SECONDS)


def test_a_zone_may_have_no_room(cloud: Cloud) -> None:
    """The operation says so, and nothing of the instance is left."""
    cloud.set_manners(no_room={ZONE: "ZONE_RESOURCE_POOL_EXHAUSTED"})
    with pytest.raises(AssertionError, match="ZONE_RESOURCE_POOL_EXHAUSTED"):
        make_instance(cloud)
    assert not do(cloud, "instances", "list", zone=ZONE).get("items")
    assert not do(cloud, "disks", "list", zone=ZONE).get("items")


def test_metadata_keeps_to_its_limits(cloud: Cloud) -> None:
    """A value that is too long and a key that is there twice are refused."""
    item = {"key": "a", "value": "x" * 256 * 1024}
    for items in ([{**item, "value": item["value"] + "x"}], [item, {**item, "value": "b"}]):
        with pytest.raises(HttpError, match=r"metadata"):
            make_instance(cloud, metadata={"items": items})


def test_clouds_are_beside_each_other(cloud: Cloud) -> None:
    """Each has a network and a store of its own."""
    make_service(cloud)
    with start_cloud(cloud.folder / "other") as other:
        assert other.network != cloud.network
        assert not do(other, "backendServices", "list").get("items")
