"""The `gcp` plugin on the emulated cloud, with a program of its own.

It is the stand-in's test; with the official plugin on the machine the same is asked of that.
"""

from pathlib import Path
from typing import Any

from harness.gcp.cloud import PROJECT, REGION, Cloud, find_calls
from harness.gcp.plain_project import PlainProject, make_plain
from immutable_servers.system.waiting import wait_until

TYPES = 14
"""So many resources the plain program has."""
MAP_LISTS = ("pathMatchers", "hostRules", "defaultRouteAction", "defaultService", "tests")
READING = ("get", "list")


def test_create_update_replace_refresh_and_delete(tmp_path: Path, cloud: Cloud) -> None:
    """Each operation is carried out on the API, in place or by replacement as upstream does."""
    project = make_plain(tmp_path, cloud)
    _preview(project)
    _create(project)
    _update_in_place(project)
    _replace(project)
    _lose_a_fingerprint(project)
    _adopt(project)
    _refuse_what_is_used(project)
    done = project.destroy()
    assert done.code == 0, done.text
    for collection in ("globalAddresses", "urlMaps", "backendServices", "instanceTemplates"):
        assert _list(cloud, collection) == []


def _list(cloud: Cloud, collection: str) -> list[dict[str, Any]]:
    """Return all of a project's things."""
    found = getattr(cloud.client(), collection)().list(project=PROJECT).execute()
    return list(found.get("items", ()))


def _find_map(cloud: Cloud) -> dict[str, Any]:
    return dict(cloud.client().urlMaps().get(project=PROJECT, urlMap="plain").execute())


def _find_group(cloud: Cloud) -> dict[str, Any]:
    groups = cloud.client().regionInstanceGroupManagers()
    found = groups.get(project=PROJECT, region=REGION, instanceGroupManager="plain").execute()
    return dict(found)


def _preview(project: PlainProject) -> None:
    """A preview changes nothing."""
    done = project.preview()
    assert done.code == 0, done.text
    assert done.changes == {"create": TYPES + 2}  # with the stack itself and the provider
    calls = [e["call"].rpartition(".")[2] for e in done.events if e["event"] == "api"]
    assert [call for call in calls if call not in READING] == []


def _create(project: PlainProject) -> None:
    """What is created says what was asked for, labels twice; the same program changes nothing."""
    cloud = project.cloud
    done = project.up()
    assert done.code == 0, done.text
    assert len(find_calls(done.events, "compute.globalAddresses.setLabels")) == 1
    service = cloud.client().backendServices().get(project=PROJECT, backendService="plain")
    found = service.execute()
    assert found["connectionDraining"] == {"drainingTimeoutSec": 30}
    closed = cloud.client().backendServices().get(project=PROJECT, backendService="plain-closed")
    assert closed.execute()["connectionDraining"] == {"drainingTimeoutSec": 300}
    (template,) = _list(cloud, "instanceTemplates")
    assert template["properties"]["labels"] == {"owner": "plain"}
    for arguments in ((), ("--refresh",)):
        again = project.up(*arguments)
        steps = [step for step in again.steps if not step.startswith("refresh ")]
        assert (again.code, steps) == (0, []), again.text


def _update_in_place(project: PlainProject) -> None:
    """Whatever does not force a replacement is an update, each by the call that upstream makes."""
    done = project.change(
        health="/ready",
        timeout=31,
        to_port=8001,
        port=8001,
        servers=2,
        labels={"more": "yes"},
        map_about="other",
        says="other",
    )
    kinds = {step.split()[1] for step in done.steps if step.startswith("update ")}
    assert kinds == {
        "Account",
        "BackendService",
        "Firewall",
        "GlobalAddress",
        "GlobalForwardingRule",
        "HealthCheck",
        "RegionInstanceGroupManager",
        "URLMap",
    }
    for call in (
        "compute.backendServices.update",
        "compute.healthChecks.update",
        "compute.urlMaps.update",
        "compute.firewalls.patch",
        "compute.globalForwardingRules.setLabels",
        "compute.regionInstanceGroups.setNamedPorts",
        "compute.regionInstanceGroupManagers.resize",
        "iam.projects.serviceAccounts.patch",
    ):
        assert len(find_calls(done.events, call)) == 1, call
    assert _find_group(project.cloud)["targetSize"] == 2


def _replace(project: PlainProject) -> None:
    """A property that forces it replaces the resource, the new one made before the old one goes."""
    done = project.change(generation="b")
    steps = [step for step in done.steps if "InstanceTemplate" in step]
    assert [step.split()[0] for step in steps] == [
        "create-replacement",
        "replace",
        "delete-replaced",
    ]
    (patched,) = find_calls(done.events, "compute.regionInstanceGroupManagers.patch")
    assert set(patched["body"]) == {"versions", "fingerprint"}


def _lose_a_fingerprint(project: PlainProject) -> None:
    """A map that somebody else changed is refused, and after a refresh it is cut to our lists.

    Names in `ignore_changes` beside the star keep it as it is.
    """
    before = _find_map(project.cloud)
    more = {"name": "api", "defaultService": before["defaultService"]}
    project.cloud.client().urlMaps().patch(
        project=PROJECT,
        urlMap="plain",
        body={
            "fingerprint": before["fingerprint"],
            "pathMatchers": [*before["pathMatchers"], more],
            "hostRules": [*before["hostRules"], {"hosts": ["api"], "pathMatcher": "api"}],
        },
    ).execute()
    wait_until("the map", 10, lambda: len(_find_map(project.cloud)["pathMatchers"]), every=0.1)
    project.options["map_about"] = "third"
    project.write_settings()
    refused = project.up()
    refused.assert_failed("Error 412", "conditionNotMet")
    project.options["map_about"] = "other"
    project.options["map_ignores"] = ["*", *MAP_LISTS]
    project.write_settings()
    kept = project.up("--refresh")
    assert kept.code == 0, kept.text
    assert [step for step in kept.steps if step.startswith("update ")] == []
    project.options["map_ignores"] = ["*"]
    project.write_settings()
    cut = project.up("--refresh")
    assert cut.code == 0, cut.text
    assert [step for step in cut.steps if step.startswith("update ")] == ["update URLMap map"]
    assert len(_find_map(project.cloud)["pathMatchers"]) == 1


def _adopt(project: PlainProject) -> None:
    """A run without a state takes up what is there, but labels: an import leaves these out."""
    root = f"projects/{PROJECT}"
    project.forget()
    project.options["imports"] = {
        "address": f"{root}/global/addresses/plain",
        "account": f"plain-servers@{PROJECT}.iam.gserviceaccount.com",
        "check": "plain",
        "closed": f"{PROJECT}/plain-closed",
        "service": f"{root}/global/firewalls/plain-service",
        "firewall": "plain-closed",
        "template": f"{root}/global/instanceTemplates/plain-b",
        "group": f"{REGION}/plain",
        "backend": "plain",
        "map": "plain",
        "proxy": "plain",
        "secure": "plain-secure",
        "rule": "plain",
        "certificate": "plain",
    }
    project.write_settings()
    refused = project.up()
    refused.assert_failed("InstanceTemplate servers **importing failed", "labels: ")
    project.options |= {"frozen": ["*", "labels"], "template_ignores": ["*", "labels"]}
    project.write_settings()
    done = project.up()
    assert done.code == 0, done.text
    assert find_calls(done.events, "compute.instanceTemplates.insert") == []
    again = project.up()
    assert (again.code, again.steps) == (0, []), again.text


def _refuse_what_is_used(project: PlainProject) -> None:
    """What something still uses is not deleted; what is gone already is no error."""
    cloud = project.cloud
    project.pulumi("state", "unprotect", "--all", "--yes", "-s", "dev")
    taken = "**URLMap::map"
    refused = project.destroy("--target", taken, "--target-dependents")
    assert refused.code == 0, refused.text
    cloud.set_fault("compute.backendServices.delete", "resourceInUseByAnotherResource", code=400)
    done = project.destroy()
    done.assert_failed("Error 400", "resourceInUseByAnotherResource")
    gone = cloud.client().backendServices().delete(project=PROJECT, backendService="plain-closed")
    if any(one["name"] == "plain-closed" for one in _list(cloud, "backendServices")):
        gone.execute()
