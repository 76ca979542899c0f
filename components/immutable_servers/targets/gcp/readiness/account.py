"""Says whose credentials are used, which APIs are on, and what the caller may do."""

from collections.abc import Iterator

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.cloud.readiness import judge, name_missing
from immutable_servers.targets.gcp.api import MISSING, Api
from immutable_servers.targets.gcp.clients import TOKEN, find_credentials
from immutable_servers.targets.gcp.faults import GUIDE
from immutable_servers.targets.gcp.readiness.asked import Asked
from immutable_servers.targets.gcp.roles import read_permissions

APIS = ("compute", "iam", "monitoring", "cloudresourcemanager", "serviceusage")
AT_ONCE = 100
"""Permissions that Google tests in one call.
https://docs.cloud.google.com/iam/docs/testing-permissions"""


def check_access(api: Api) -> Iterator[Finding]:
    """Yield the lines on credentials, project and region; a wrong one is an error of its own."""
    project, region = api.call("projects", "get")["name"], api.settings.region
    if not api.call("regions", "get", missing=(*MISSING, "unknownRegion")):
        todo = "Correct it under immutable-servers:gcp; `gcloud compute regions list` shows all."
        yield Finding("region", "not ok", f"Google Cloud has no region {region}", todo)
        return
    credentials = find_credentials()
    who = getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "")
    said = f"{who or 'your own login'}, project {project}, region {region}"
    if who or getattr(credentials, "refresh_token", None):
        yield Finding("credentials", "ok", said)
    else:
        todo = "See that it holds for an update: bakes, checks, canary and drain."
        said = f"the token in {TOKEN}, which nothing renews, project {project}, region {region}"
        yield Finding("credentials", "note", said, todo)


def check_apis(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the APIs that are called are enabled in the project."""
    settings = asked.settings
    wanted = [*APIS, *{settings.reach, settings.build_reach} & {"iap"}]
    wanted += ["logging"] if settings.logs else []
    names = [f"projects/{settings.project}/services/{one}.googleapis.com" for one in wanted]
    answer = asked.api.call("services", "batchGet", service="serviceusage", names=names)
    off = [one["config"]["name"] for one in answer["services"] if one["state"] != "ENABLED"]
    wrong = f"not enabled: {', '.join(off)}" if off else ""
    todo = f"gcloud services enable {' '.join(off)} --project {settings.project}"
    yield judge(what, wrong, todo, f"enabled: {', '.join(wanted)}")


def check_role(asked: Asked, what: str, role: str) -> Iterator[Finding]:
    """Yield the line of one role: what of its file the caller lacks in the project."""
    reach = {"bake": asked.settings.build_reach, "deploy": asked.settings.reach}
    files = [role, *(["iap"] if reach.get(role) == "iap" else [])]
    wanted = [one for file in files for one in read_permissions(file)]
    has: set[str] = set()
    for start in range(0, len(wanted), AT_ONCE):
        answer = asked.api.call(
            "projects",
            "testIamPermissions",
            service="cloudresourcemanager",
            resource=asked.settings.project,
            body={"permissions": wanted[start : start + AT_ONCE]},
        )
        has.update(answer.get("permissions", ()))
    todo = (
        f"Give who runs this the role of {' and '.join(f'{one}.yaml' for one in files)} ({GUIDE});"
        " one that is given on a single thing, such as a service account, is shown as missing, too."
    )
    missing = name_missing([one for one in wanted if one not in has])
    yield judge(what, missing, todo, f"{len(wanted)} permissions in the project")
