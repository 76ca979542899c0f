"""Who may do what: a token, an API that is enabled, and the permissions that a call needs.

A test writes `access.json`: `{"denied": ["compute.urlMaps.update"], "disabled": ["monitoring"]}`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from clouds.gcp.emulation.calls import Call
from clouds.gcp.emulation.permissions import find_permissions
from clouds.gcp.emulation.refusals import Refusal

EXPIRED = "expired"
"""The token that is no longer taken."""
NUMBER = "123456789012"
"""The number of every project."""


def check_access(folder: Path, call: Call, authorization: str) -> None:
    """Refuse a call without credentials, to an API that is off, or without a permission."""
    if not authorization.startswith("Bearer ") or authorization.endswith(EXPIRED):
        raise Refusal("required" if not authorization else "authError", "Invalid Credentials", 401)
    access = read_access(folder)
    service = call.method.name.partition(".")[0]
    if service in access["disabled"]:
        raise refuse_disabled(f"{service}.googleapis.com")
    for permission in find_permissions(call.method.name, call.path, call.body):
        if permission in access["denied"]:
            raise refuse_permission(service, permission, call.path)


def refuse_permission(service: str, permission: str, path: str) -> Refusal:
    """Return the refusal of a permission, in the words of the API."""
    if service == "compute":
        return Refusal("forbidden", f"Required '{permission}' permission for '{path}'")
    message = f"Permission '{permission}' denied on resource '{path}' (or it may not exist)."
    return Refusal("forbidden", message)


def refuse_disabled(service: str) -> Refusal:
    """Return the refusal of an API that the project has not enabled."""
    title = f"{service.partition('.')[0].capitalize()} API"
    url = f"https://console.developers.google.com/apis/api/{service}/overview?project={NUMBER}"
    message = (
        f"{title} has not been used in project {NUMBER} before or it is disabled. Enable it by "
        f"visiting {url} then retry."
    )
    return Refusal("accessNotConfigured", message)


def read_access(folder: Path) -> Mapping[str, Sequence[str]]:
    """Return what a test takes away."""
    file = folder / "access.json"
    written = json.loads(file.read_text()) if file.exists() else {}
    return {"denied": [], "disabled": [], **written}
