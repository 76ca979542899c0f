"""Projects, their APIs, permissions and service accounts."""

from typing import Any

from clouds.gcp.emulation.access import NUMBER, read_access
from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.kinds import KINDS, Kind
from clouds.gcp.emulation.refusals import Refusal, refuse_missing
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World

KINDS["projects"] = Kind(frozenset({"get"}))
SERVICES = ("compute", "iam", "monitoring", "serviceusage", "cloudresourcemanager", "logging")


# Cloud Resource Manager
@answers("cloudresourcemanager.projects.get")
def get_project(world: World, call: Call) -> dict[str, Any]:
    """Return a project."""
    project = world.store.get(f"projects/{call.name}")
    return {
        "projectId": call.name,
        "projectNumber": NUMBER,
        "name": call.name,
        "lifecycleState": "ACTIVE",
        "createTime": project["creationTimestamp"],
    }


@answers("cloudresourcemanager.projects.testIamPermissions")
def test_permissions(world: World, call: Call) -> dict[str, Any]:
    """Return which of the permissions the caller has: all that a test has not taken away."""
    denied = read_access(world.folder)["denied"]
    asked = call.body.get("permissions", [])
    return {"permissions": [one for one in asked if one not in denied]}


# Service Usage
@answers("serviceusage.services.get")
def get_service(world: World, call: Call) -> dict[str, Any]:
    """Return whether a project has enabled an API."""
    return _describe_service(world, call.path.removeprefix("v1/"))


@answers("serviceusage.services.batchGet")
def get_services(world: World, call: Call) -> dict[str, Any]:
    """Return which of some APIs a project has enabled."""
    return {"services": [_describe_service(world, name) for name in call.all("names")]}


def _describe_service(world: World, name: str) -> dict[str, Any]:
    _, project, _, service = name.split("/")
    world.store.get(f"projects/{project}")
    short = service.partition(".")[0]
    off = short not in SERVICES or short in read_access(world.folder)["disabled"]
    return {
        "name": f"projects/{NUMBER}/services/{service}",
        "parent": f"projects/{NUMBER}",
        "state": "DISABLED" if off else "ENABLED",
        "config": {"name": service},
    }


# service accounts
@answers("iam.projects.serviceAccounts.create")
def create_account(world: World, call: Call) -> dict[str, Any]:
    """Make a service account; reads know it a moment later."""
    project, name = call.path.split("/")[2], call.body.get("accountId", "")
    email = f"{name}@{project}.iam.gserviceaccount.com"
    path = f"projects/{project}/serviceAccounts/{email}"
    if world.store.find(path):
        raise Refusal(
            "alreadyExists", f"Service account {name} already exists within project {path}."
        )
    given = call.body.get("serviceAccount", {})
    account = {
        "name": path,
        "projectId": project,
        "uniqueId": str(10**20 + len(world.store.things)),
        "email": email,
        "etag": "MDEwMjE5MjA=",
        "oauth2ClientId": str(10**20 + len(world.store.things)),
        **{key: given[key] for key in ("displayName", "description") if key in given},
    }
    world.store.put(path, account)
    return account


@answers("iam.projects.serviceAccounts.get")
def get_account(world: World, call: Call) -> Thing:
    """Return a service account; `-` stands for its own project."""
    things, path = world.show(call), _find_account(call)
    if path not in things:
        raise refuse_missing(path)
    return things[path]


@answers("iam.projects.serviceAccounts.list")
def list_accounts(world: World, call: Call) -> dict[str, Any]:
    """Return a project's service accounts."""
    path = call.path.removeprefix("v1/")
    found = [one for name, one in world.show(call).items() if name.rpartition("/")[0] == path]
    return {"accounts": found}


@answers("iam.projects.serviceAccounts.delete")
def delete_account(world: World, call: Call) -> dict[str, Any]:
    """Remove a service account."""
    path = _find_account(call)
    world.store.get(path)
    world.store.remove(path)
    return {}


@answers("iam.projects.serviceAccounts.patch")
def patch_account(world: World, call: Call) -> Thing:
    """Change what a service account is called."""
    path = _find_account(call)
    given = call.body.get("serviceAccount", {})
    fields = call.body.get("updateMask", "").split(",")
    account = {**world.store.get(path), **{key: given[key] for key in fields if key in given}}
    world.store.put(path, account)
    return account


def _find_account(call: Call) -> str:
    _, _, project, collection, email = call.path.split("/")
    if project == "-":
        project = email.partition("@")[2].partition(".")[0]
    return f"projects/{project}/{collection}/{email}"


def find_account(world: World, email: str) -> Thing | None:
    """Return a service account by its address, as a machine names it."""
    project = email.partition("@")[2].partition(".")[0]
    return world.store.find(f"projects/{project}/serviceAccounts/{email}")
