"""How Google is asked: operations, pages, refusals that are answers, and fingerprints."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness.gcp.scripted import Google
from immutable_servers.errors import LaunchError, StoppedError, TrafficError
from immutable_servers.system import stopping
from immutable_servers.targets.cloud import calls
from immutable_servers.targets.gcp import api as api_module
from immutable_servers.targets.gcp.api import Api

RUNNING = {"kind": "compute#operation", "name": "operation-1", "status": "RUNNING"}
DONE = {**RUNNING, "status": "DONE"}
IN_USE = "resourceInUseByAnotherResource"


def fail(code: str) -> dict[str, Any]:
    """Return an operation that ended with an error, as Google answers it: with 200."""
    return {**DONE, "error": {"errors": [{"code": code, "message": "said"}]}}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(calls, "AGAIN_PAUSE", 0.01)
    monkeypatch.setattr(api_module, "CHANGE_PAUSE", 0.01)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ({}, "global/operations/operation-1/wait"),
        (
            {"region": "https://x/projects/p/regions/europe-west3"},
            "regions/europe-west3/operations/operation-1/wait",
        ),
        (
            {"zone": "https://x/projects/p/zones/europe-west3-a"},
            "zones/europe-west3-a/operations/operation-1/wait",
        ),
    ],
)
def test_an_operation_is_waited_for(
    google: Google, api: Api, place: Mapping[str, str], path: str
) -> None:
    """A change is over when its operation is, wherever that is."""
    google.say("DELETE images/a", {**RUNNING, **place})
    google.say("POST wait", {**RUNNING, **place}, {**DONE, **place})
    assert api.call("images", "delete", image="a")["status"] == "DONE"
    assert google.list_calls() == ["DELETE global/images/a", f"POST {path}", f"POST {path}"]


def test_an_operation_that_ended_with_an_error_has_failed(google: Google, api: Api) -> None:
    """Google accepts a change with 200 and says why it failed where nobody looks by chance."""
    google.say("DELETE images/a", fail("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"))
    with pytest.raises(TrafficError, match="Something still uses what should go"):
        api.raising(TrafficError).call("images", "delete", image="a")
    assert api.call("images", "delete", image="a", missing=(IN_USE,)) == {}


@pytest.mark.usefixtures("quick")
def test_what_passes_is_asked_again(google: Google, api: Api) -> None:
    """A thing whose user is on its way out can be deleted soon: in answers and operations."""
    google.refuse("DELETE images/a", 400, IN_USE)
    google.say("DELETE images/a", fail("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"), DONE)
    api.call("images", "delete", image="a", again=(IN_USE,))
    assert len(google.asked) == 3


@pytest.mark.usefixtures("quick")
def test_what_does_not_pass_is_told(
    google: Google, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time the last refusal is the error."""
    monkeypatch.setattr(calls, "AGAIN_SECONDS", 0.05)
    google.refuse("DELETE images/a", 400, IN_USE, "used by /instances/b")
    with pytest.raises(LaunchError, match="used by /instances/b"):
        api.call("images", "delete", image="a", again=(IN_USE,))


def test_all_pages_are_listed(google: Google, api: Api) -> None:
    """A list ends where no further page is named."""
    google.say("GET images", {"items": [{"name": "a"}], "nextPageToken": "2"}, {"items": ["b"]})
    assert api.list("images") == [{"name": "a"}, "b"]
    assert "pageToken=2" in google.asked[1].query


@pytest.mark.parametrize(
    ("collection", "method", "arguments", "answer"),
    [
        (
            "instances",
            "aggregatedList",
            {},
            {"items": {"zones/a": {"instances": ["x"]}, "zones/b": {"warning": {}}}},
        ),
        (
            "regionInstanceGroupManagers",
            "listManagedInstances",
            {"instanceGroupManager": "g"},
            {"managedInstances": ["x"]},
        ),
        (
            "backendServices",
            "getHealth",
            {"backendService": "b", "body": {"group": "g"}},
            {"kind": "k", "healthStatus": ["x"]},
        ),
        (
            "timeSeries",
            "list",
            {"service": "monitoring", "filter": "f"},
            {"executionErrors": [], "timeSeries": ["x"]},
        ),
        ("serviceAccounts", "list", {"service": "iam"}, {"accounts": ["x"]}),
    ],
)
def test_each_kind_of_list_is_read(
    google: Google,
    api: Api,
    collection: str,
    method: str,
    arguments: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    """Google has its lists under names of their own, and by zone; a place without is empty."""
    google.say("GET ", answer)
    google.say("POST ", answer)
    assert api.list(collection, method, **arguments) == ["x"]
    google.answers.clear()
    google.say("GET ", {})
    google.say("POST ", {})
    assert api.list(collection, method, **arguments) == []


def test_a_missing_thing_is_none(google: Google, api: Api) -> None:
    """Only the thing may be missing: a project that is not there is a mistake in the settings."""
    google.refuse("GET images/a", 404, "notFound", "The resource 'projects/p/x' was not found")
    assert api.find("images", image="a") is None


def test_what_is_asked_twice_is_answered_once(google: Google, api: Api) -> None:
    """Until something changes; then everything may be different."""
    google.say("GET images/a", {"name": "a"})
    google.say("GET images", {"items": []})
    google.say("DELETE images/a", DONE)
    api.asked.begin()
    for _ in range(2):
        assert api.find("images", image="a") == {"name": "a"}
        assert api.list("images") == []
    assert len(google.asked) == 2
    api.call("images", "delete", image="a")
    assert api.find("images", image="a")
    assert len(google.asked) == 4


@pytest.mark.usefixtures("quick")
def test_a_change_is_made_on_what_was_just_read(google: Google, api: Api) -> None:
    """Somebody else's change in between is kept: the thing is read again, and changed again."""
    google.say("GET urlMaps/m", {"fingerprint": "1", "hosts": ["a"]})
    google.answers["GET urlMaps/m"].append((200, {"fingerprint": "2", "hosts": ["a", "b"]}))
    google.refuse("PATCH urlMaps/m", 412, "conditionNotMet")
    google.say("PATCH urlMaps/m", DONE)
    api.change("urlMaps", "m", lambda thing: {"hosts": [*thing["hosts"], "c"]})
    bodies = [one.body for one in google.asked if one.method == "PATCH"]
    assert bodies == [
        {"hosts": ["a", "c"], "fingerprint": "1"},
        {"hosts": ["a", "b", "c"], "fingerprint": "2"},
    ]


def test_a_change_that_is_none_is_not_made(google: Google, api: Api) -> None:
    """What is as it should be is left alone."""
    google.say("GET urlMaps/m", {"fingerprint": "1"})
    api.change("urlMaps", "m", lambda _thing: None)
    assert len(google.asked) == 1


@pytest.mark.usefixtures("quick")
def test_a_change_that_others_undo_ends(
    google: Google, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and what to do, instead of changing for ever."""
    monkeypatch.setattr(api_module, "AGAIN_SECONDS", 0.05)
    google.say("GET urlMaps/m", {"fingerprint": "1"})
    google.refuse("PATCH urlMaps/m", 412, "conditionNotMet")
    with pytest.raises(LaunchError, match="Somebody else changed the same thing") as caught:
        api.change("urlMaps", "m", lambda _thing: {})
    assert "urlMaps m" in caught.value.what


def test_a_change_is_named_so_that_it_is_made_once(google: Google, api: Api) -> None:
    """An answer that is lost does not make a second instance: each call has an id of its own."""
    google.say("POST instances", DONE)
    for _ in range(2):
        api.call("instances", "insert", zone="europe-west3-a", body={"name": "a"})
    first, second = (one.query for one in google.asked)
    assert "requestId=" in first
    assert first != second


def test_a_throttled_call_is_made_again(google: Google, api: Api) -> None:
    """The SDK does it, as often as the settings say."""
    settings = api.settings.model_copy(update={"attempts": 2})
    google.refuse("GET images/a", 403, "rateLimitExceeded")
    google.say("GET images/a", {"name": "a"})
    assert Api(settings).find("images", image="a") == {"name": "a"}


def test_a_wait_has_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is told by what was waited for."""
    monkeypatch.setattr(calls, "WAIT_SECONDS", 0.0)
    with pytest.raises(LaunchError, match="did not come to the end of a in time"):
        api.wait("the end of a", lambda: False)


@pytest.fixture
def stopped(google: Google) -> Iterator[None]:
    """Stop this process a moment after the first call."""
    timer = threading.Timer(0.1, stopping.stop)

    def start() -> None:
        if timer.ident is None:
            timer.start()

    google.on_call = start
    yield
    timer.join()
    stopping.STOP.clear()


@pytest.mark.usefixtures("stopped")
def test_a_stop_ends_what_waits_for_an_operation(google: Google, api: Api) -> None:
    """Google may take minutes; a stopped run does not."""
    google.say("DELETE images/a", RUNNING)
    google.say("POST wait", RUNNING)
    with pytest.raises(StoppedError):
        api.call("images", "delete", image="a")


@pytest.mark.usefixtures("stopped")
def test_a_stop_ends_what_is_asked_again(google: Google, api: Api) -> None:
    """So does one whose refusal may pass."""
    google.refuse("DELETE images/a", 400, IN_USE)
    with pytest.raises(StoppedError):
        api.call("images", "delete", image="a", again=(IN_USE,))


def test_threads_ask_side_by_side(google: Google, api: Api) -> None:
    """A connection serves one call at a time, and is used again."""
    google.say("GET images", {"items": ["a"]})
    found: list[list[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(api.list("images"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["a"]] * 12


def test_the_sdk_is_imported_by_who_asks() -> None:
    """The target itself costs a stack nothing: neither the SDK nor the provider's package."""
    code = (
        "import sys; from immutable_servers.targets.gcp import GcpTarget;"
        "GcpTarget({'project': 'shop-123456', 'region': 'europe-west3'});"
        "print([name for name in ('googleapiclient', 'google.auth', 'pulumi_gcp', 'pulumi')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
