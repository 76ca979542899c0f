"""What Google refuses, in our words: what failed, what it said, what to do."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness.gcp.scripted import PLACE, Google
from immutable_servers.errors import (
    ImageError,
    ImmutableError,
    LaunchError,
    SettingsError,
    SetupError,
)
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.clients import TOKEN, forget_clients
from immutable_servers.targets.gcp.faults import (
    GoogleError,
    describe_trouble,
    fold,
    read_answer,
)

ENABLE = "https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project=1"


def refuse(google: Google, api: Api, *answer: Any) -> ImmutableError:  # noqa: ANN401 - as `refuse` takes it
    """Return the error of a call that Google refuses."""
    google.refuse("GET images/a", *answer)
    with pytest.raises(ImmutableError) as caught:
        api.find("images", image="a")
    return caught.value


@pytest.mark.parametrize(
    ("status", "reason", "said", "kind", "what"),
    [
        (403, "quotaExceeded", "Quota 'CPUS' exceeded.", LaunchError, "A quota"),
        (403, "rateLimitExceeded", "slow", LaunchError, "slows down compute.images.get"),
        (429, "", "slow", LaunchError, "slows down"),
        (412, "conditionNotMet", "Invalid fingerprint.", LaunchError, "Somebody else changed"),
        (400, "resourceInUseByAnotherResource", "by b", LaunchError, "Something still uses"),
        (400, "invalid", "Invalid value for field", LaunchError, "refused compute.images.get"),
        (404, "notFound", "The resource 'projects/p' was not found", SettingsError, "no such"),
        (
            400,
            "invalid",
            "Invalid value for field 'region': 'x-y1'. Unknown region.",
            SettingsError,
            "no such place",
        ),
        (
            404,
            "notFound",
            "The resource 'projects/p/regions/x-y1' was not found",
            SettingsError,
            "no such place: shop-123456, europe-west3",
        ),
        (
            404,
            "notFound",
            "The resource 'projects/p/zones/x-y1-a' was not found",
            SettingsError,
            "no such place",
        ),
        (
            400,
            "invalid",
            "The resource 'projects/debian-cloud/global/images/debian-13' is obsolete.",
            ImageError,
            "may not be used any more",
        ),
        (500, "backendError", "Internal error", LaunchError, "still slows down"),
    ],
)
def test_each_refusal_has_its_words(
    google: Google,
    api: Api,
    status: int,
    reason: str,
    said: str,
    kind: type[ImmutableError],
    what: str,
) -> None:
    """The branch says whose matter it is; Google's own words and what to do are beside it."""
    error = refuse(google, api, status, reason, said)
    assert type(error) is kind
    assert what in error.what
    assert said in error.facts[0]
    assert error.todo


def test_a_missing_permission_is_named(
    google: Google, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever grants it reads its name and on what, not a status; the SDK says nothing beside."""
    said = "Required 'compute.images.get' permission for 'projects/shop-123456/global/images/a'"
    error = refuse(google, api, 403, "forbidden", said)
    assert type(error) is SetupError
    assert error.what == "A permission is missing: compute.images.get"
    assert error.facts[0] == "on projects/shop-123456/global/images/a"
    assert find_denied(error) == "compute.images.get"
    assert not caplog.records


def test_a_token_that_nothing_renews_ends_in_googles_words(google: Google, api: Api) -> None:
    """And not in those of a library that lacks what would renew it."""
    error = refuse(google, api, 401, "authError", "Invalid Credentials")
    assert type(error) is SetupError
    assert error.what == "Google does not accept the credentials, or they have expired"
    assert "Invalid Credentials" in error.facts[0]
    assert TOKEN in error.todo


def test_newer_apis_are_read_too(google: Google, api: Api) -> None:
    """IAM and Monitoring spell reasons and permissions otherwise."""
    said = "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist)."
    status = {"code": 403, "message": said, "status": "PERMISSION_DENIED"}
    google.say("GET serviceAccounts/a", {"error": status}, status=403)
    name = "projects/shop-123456/serviceAccounts/a"
    with pytest.raises(SetupError, match=r"missing: iam\.serviceAccounts\.get") as caught:
        api.call("serviceAccounts", "get", service="iam", name=name)
    assert find_denied(caught.value) == "iam.serviceAccounts.get"
    missing = {"error": {"code": 404, "message": "Unknown account", "status": "NOT_FOUND"}}
    google.say("GET serviceAccounts/b", missing, status=404)
    name = name.replace("/a", "/b")
    found = api.call("serviceAccounts", "get", service="iam", name=name, missing=("notFound",))
    assert found == {}


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": f"Compute Engine API has not been used. Enable it by visiting {ENABLE}",
            "errors": [{"reason": "accessNotConfigured", "extendedHelp": ENABLE}],
        },
        {
            "message": "It is disabled.",
            "status": "PERMISSION_DENIED",
            "details": [{"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": ENABLE}}],
        },
    ],
)
def test_an_api_that_is_not_enabled_says_where(
    google: Google, api: Api, error: Mapping[str, Any]
) -> None:
    """The address is Google's own, once, in whichever form it came."""
    google.say("GET images/a", {"error": {"code": 403, **error}}, status=403)
    with pytest.raises(SetupError, match="An API is not enabled") as caught:
        api.find("images", image="a")
    assert caught.value.facts[0].count(ENABLE) == 1
    assert "Enable it" in caught.value.todo


def test_no_credentials(google: Google, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, the ways to some are told, and Google is not asked."""
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    forget_clients()
    with pytest.raises(SetupError, match="no Google Cloud credentials") as caught:
        api.find("images", image="a")
    assert "gcloud auth application-default login" in caught.value.todo
    assert not google.asked


def test_a_token_that_has_expired(google: Google, api: Api) -> None:
    """It cannot be renewed: google-auth says so in its own words, and we what to do."""
    google.refuse("GET images/a", 401, "authError")
    with pytest.raises(SetupError, match="or they have expired") as caught:
        api.find("images", image="a")
    assert "Log in again" in caught.value.todo


def test_a_google_that_does_not_answer(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that leads nowhere is this machine's matter."""
    del google
    monkeypatch.setenv("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", "http://127.0.0.1:1/compute/v1/")
    forget_clients()
    api = GcpTarget({**PLACE, "attempts": 1}).api
    with pytest.raises(SetupError, match="Google could not be reached"):
        api.find("images", image="a")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "has no room for such a server now"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "has no room for such a server now"),
        ("RESOURCE_POOL_EXHAUSTED", "has no room for such a server now"),
        ("QUOTA_EXCEEDED", "A quota of the Google Cloud project is used up"),
        ("RESOURCE_NOT_FOUND", "Google refused its start"),
    ],
)
def test_what_a_group_hides_has_its_words(code: str, words: str) -> None:
    """Codes of `listErrors` and of failed operations are told like refusals, in one line."""
    line = describe_trouble(code, "as Google says")
    assert words in line
    assert f"({code}: as Google says)" in line
    assert line.endswith(".")


def test_codes_are_one_spelling() -> None:
    """Operations shout what answers say in camel case."""
    assert fold("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE") == "resourceInUseByAnotherResource"
    assert fold("notFound") == "notFound"
    assert GoogleError(["NOT_FOUND"], "").is_one_of(("notFound",))


def test_an_answer_that_is_no_json() -> None:
    """A proxy's page is shown as it is."""
    error = read_answer(502, b"<html>bad gateway")
    assert error.codes == ["502"]
    assert error.said == "<html>bad gateway"
