"""Which permissions a call needs, as Google documents them by method.

https://cloud.google.com/compute/docs/reference/rest/v1: each method's "IAM Permissions", and those
that a request's fields name. https://cloud.google.com/iam/docs/permissions-reference has them all.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from clouds.gcp.emulation.links import read_path

WORDS = {"insert": "create", "patch": "update", "aggregatedList": "list", "wait": "get"}
"""Actions whose permission has another name."""
NAMES = {
    "autoscalers": "autoscalers",
    "instanceGroupManagers": "instanceGroupManagers",
    "instanceGroups": "instanceGroups",
}
"""Kinds whose permissions do not tell regions from zones."""
OTHERS: Mapping[str, tuple[str, ...]] = {
    "cloudresourcemanager.projects.get": ("resourcemanager.projects.get",),
    "cloudresourcemanager.projects.testIamPermissions": (),
    "compute.backendServices.getHealth": ("compute.backendServices.get",),
    "compute.firewalls.delete": ("compute.firewalls.delete", "compute.networks.updatePolicy"),
    "compute.firewalls.insert": ("compute.firewalls.create", "compute.networks.updatePolicy"),
    "compute.firewalls.patch": ("compute.firewalls.update", "compute.networks.updatePolicy"),
    "compute.firewalls.update": ("compute.firewalls.update", "compute.networks.updatePolicy"),
    "compute.regionInstanceGroupManagers.deleteInstances": (
        "compute.instanceGroupManagers.update",
    ),
    "compute.regionInstanceGroupManagers.listErrors": ("compute.instanceGroupManagers.get",),
    "compute.regionInstanceGroupManagers.listManagedInstances": (
        "compute.instanceGroupManagers.get",
    ),
    "compute.regionInstanceGroupManagers.recreateInstances": (
        "compute.instanceGroupManagers.update",
    ),
    "compute.regionInstanceGroupManagers.resize": ("compute.instanceGroupManagers.update",),
    "compute.regionInstanceGroups.listInstances": ("compute.instanceGroups.list",),
    "compute.regionInstanceGroups.setNamedPorts": ("compute.instanceGroups.update",),
    "iam.projects.serviceAccounts.patch": ("iam.serviceAccounts.update",),
    "serviceusage.services.batchGet": ("serviceusage.services.get",),
}
"""Methods whose permissions their names do not give."""
USED = {
    "addresses": "compute.globalAddresses.use",
    "backendServices": "compute.backendServices.use",
    "disks": "compute.disks.useReadOnly",
    "healthChecks": "compute.healthChecks.useReadOnly",
    "instanceGroupManagers": "compute.instanceGroupManagers.use",
    "instanceGroups": "compute.instanceGroups.use",
    "instanceTemplates": "compute.instanceTemplates.useReadOnly",
    "securityPolicies": "compute.securityPolicies.use",
    "sslCertificates": "compute.sslCertificates.get",
    "sslPolicies": "compute.sslPolicies.use",
    "subnetworks": "compute.subnetworks.use",
    "targetHttpProxies": "compute.targetHttpProxies.use",
    "targetHttpsProxies": "compute.targetHttpsProxies.use",
    "urlMaps": "compute.urlMaps.use",
}
"""What it takes to name a thing of a kind in a change."""
MAKES = ("compute.instances.insert", "compute.instanceTemplates.insert")
"""Methods whose body describes a machine."""
MACHINE = {
    "labels": "compute.instances.setLabels",
    "metadata": "compute.instances.setMetadata",
    "tags": "compute.instances.setTags",
}
"""What it takes to give a new machine something."""
LABELLED = {
    "compute.globalAddresses.insert": "compute.globalAddresses.setLabels",
    "compute.globalForwardingRules.insert": "compute.globalForwardingRules.setLabels",
    "compute.images.insert": "compute.images.setLabels",
    "compute.disks.insert": "compute.disks.setLabels",
}
"""What it takes to make a thing with labels."""
DESCRIBED = ("disks",)
"""Fields of a machine that name images and disks."""
PUBLIC = "-cloud"
"""Ends the projects of public images, which everybody may read."""


def find_permissions(method: str, path: str, body: Mapping[str, Any]) -> list[str]:
    """Return the permissions that a call needs in the caller's own project."""
    if path.startswith("projects/") and path.split("/")[1].endswith(PUBLIC):
        return []
    needed = set(OTHERS.get(method, (_name(method),)))
    if not method.rpartition(".")[2].startswith(("get", "list")):
        needed |= set(_list_used(body, path))
    if method in MAKES:
        needed |= set(_list_machine(body.get("properties", body), path))
    if method == "compute.regionInstanceGroupManagers.insert":
        needed.add("compute.instances.create")
    if method == "compute.globalForwardingRules.insert" and body.get("IPAddress"):
        needed.add(USED["addresses"])
    if body.get("labels") and method in LABELLED:
        needed.add(LABELLED[method])
    return sorted(needed)


def _name(method: str) -> str:
    """Return the permission that has the method's own name, or nearly."""
    service, *_, kind, action = method.split(".")
    for ending, name in NAMES.items():
        if kind.lower() == f"region{ending}".lower():
            kind = name
    return f"{service}.{kind}.{WORDS.get(action, action)}"


def _list_used(body: object, path: str) -> Iterator[str]:
    """Yield what it takes to name things in a body; the service of a machine is elsewhere."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key not in {"metadata", "labels", "description", "properties"}:
                yield from _list_used(value, path)
    elif isinstance(body, list):
        for one in body:
            yield from _list_used(one, path)
    elif isinstance(body, str):
        used = read_path(body, path.split("/")[1] if "/" in path else "")
        kind = used.split("/")[-2] if used.count("/") > 1 else ""
        if kind in USED:
            yield USED[kind]
        if kind == "images" and not used.split("/")[1].endswith(PUBLIC):
            yield "compute.images.useReadOnly"


def _list_machine(words: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield what it takes to describe a machine."""
    yield from (permission for key, permission in MACHINE.items() if words.get(key))
    yield from _list_used({key: value for key, value in words.items() if key in DESCRIBED}, path)
    yield "compute.subnetworks.use"
    for disk in words.get("disks", []):
        if disk.get("initializeParams"):
            yield "compute.disks.create"
        if disk.get("initializeParams", {}).get("labels"):
            yield "compute.disks.setLabels"
    if any(card.get("accessConfigs") for card in words.get("networkInterfaces", [])):
        yield "compute.subnetworks.useExternalIp"
    if any(account.get("email") for account in words.get("serviceAccounts", [])):
        yield from ("compute.instances.setServiceAccount", "iam.serviceAccounts.actAs")
