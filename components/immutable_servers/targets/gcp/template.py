"""Renders instance templates, as arguments of `gcp.compute.InstanceTemplate`, and launch data."""

import json
from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import FleetSpec, Launch, Scope
from immutable_servers.errors import make_left_out
from immutable_servers.targets.gcp.names import name_tag
from immutable_servers.targets.gcp.settings import GcpSettings
from immutable_servers.targets.shared.launch_data import (
    OPENING,
    describe_launch,
    render_launch,
    seal_launch,
)

LAUNCH, WINDOW, RECORD = "immutable-launch", "immutable-window", "immutable-record"
"""Metadata of a template: launch data and record. The window is its group's override."""
RUN = ("window_ends", "launched_at")
"""Words of a record that each run has its own of: the group has them and not the template, so that
a template that a killed run left is the one that the next run would make."""
SEALED = ""
"""A window that is over for good."""
FIXED = {"block-project-ssh-keys": "TRUE", "enable-oslogin": "FALSE"}
"""Whoever may log in elsewhere in the project may not log in here.
https://docs.cloud.google.com/compute/docs/connect/restrict-ssh-keys"""
SHIELDED = ("enable_secure_boot", "enable_vtpm", "enable_integrity_monitoring")
OURS = frozenset({"metadata", "description", "labels", "service_account", "project"})
"""Arguments that `launch_overrides` may not change: they make a generation."""
MASKED = {
    "metadata_startup_script": "servers run no startup script; bake what it does into the image,"
    " and hand what differs between stacks by env"
}
"""Arguments that do nothing on a server, since its image takes no orders from metadata."""
MOST_METADATA = 100 * 1024
"""Bytes. A value takes 256 KB and all take 512 KB; the record holds the `env` once more.
https://docs.cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations"""
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""What an account may do is said by its roles, not by a server's scopes.
https://docs.cloud.google.com/compute/docs/access/service-accounts#scopes_best_practice"""


def render_shape(settings: GcpSettings, launch: Launch) -> dict[str, Any]:
    """Return the arguments that our code gives every server, as plain values.

    They are digested into a generation's id, so that a program that shapes servers differently
    makes a new generation. The disk lacks its image, and the server its service account.
    """
    machine_type = settings.find_size(launch.size)
    disk: dict[str, Any] = {
        "boot": True,
        "auto_delete": True,
        "disk_type": settings.find_disk_type(machine_type),
    }
    if settings.volume:
        disk["disk_size_gb"] = settings.volume
    subnetwork, network = settings.subnetwork, settings.network
    card: dict[str, Any] = {"subnetwork": subnetwork} if subnetwork else {"network": network}
    if settings.public_addresses:
        card["access_configs"] = [{}]
    logs = {"serial-port-logging-enable": "TRUE"} if settings.logs else {}
    return {
        "machine_type": machine_type,
        "disks": [disk],
        "network_interfaces": [card],
        "shielded_instance_config": dict.fromkeys(SHIELDED, True),
        "metadata": {**FIXED, **logs},
    }


def render_metadata(scope: Scope, launch: Launch, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a generation's template: sealed, with the record for whoever looks.

    The balancer itself names the generation in answers, so servers do not.
    """
    told = render_launch(describe_launch(scope, launch.env, "", 0, header=False))
    kept = {key: record[key] for key in record if key not in RUN}
    return {LAUNCH: seal_launch(told), RECORD: json.dumps(kept, sort_keys=True)}


def render_window(key: str | None, ends: int | None, inspection_key: str | None = "") -> str:
    """Return the window of a group's servers, which the guest lays over its launch data.

    Raises:
        ImmutableError: The run leaves out what makes key and window.
    """
    if not key or not ends:
        raise make_left_out("missing: the login key or its window")
    told = describe_launch(Scope("", ""), {}, key, int(ends), inspection_key=inspection_key or "")
    return render_launch({word: told[word] for word in OPENING if word in told})


def read_window(metadata: Mapping[str, str]) -> int:
    """Return when the window of a group's servers ends, 0 once it is closed for good."""
    window = metadata.get(WINDOW) or SEALED
    return int(json.loads(window)["window_ends"]) if window else 0


def render_instance(settings: GcpSettings, spec: FleetSpec, name: str, zone: str) -> dict[str, Any]:
    """Return one open server of a generation as `instances.insert` takes it.

    Only what `render_shape` makes is known here, and no override.
    """
    shape = render_shape(settings, spec.launch)
    disk_type = shape["disks"][0]["disk_type"]
    disk = {"sourceImage": spec.artifact, "diskType": f"zones/{zone}/diskTypes/{disk_type}"}
    if settings.volume:
        disk["diskSizeGb"] = str(settings.volume)
    card: dict[str, Any] = {"network": f"global/networks/{settings.network}"}
    if settings.subnetwork:
        card["subnetwork"] = f"regions/{settings.region}/subnetworks/{settings.subnetwork}"
    if settings.public_addresses:
        card["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT"}]
    metadata = {
        **shape["metadata"],
        **render_metadata(spec.scope, spec.launch, spec.record),
        WINDOW: render_window(spec.public_key, spec.window_ends, spec.inspection_key),
    }
    return {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{shape['machine_type']}",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
        "networkInterfaces": [card],
        "shieldedInstanceConfig": {camel(key): True for key in SHIELDED},
        "serviceAccounts": [{"email": settings.find_account(spec.scope), "scopes": [CLOUD_SCOPE]}],
        "tags": {"items": [name_tag(spec.scope)]},
        "metadata": list_metadata(metadata),
    }


def camel(word: str) -> str:
    """Return the provider's word for an argument as Google spells it."""
    first, *rest = word.split("_")
    return first + "".join(part.capitalize() for part in rest)


def list_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return metadata as Google's own interface takes it."""
    return {"items": [{"key": key, "value": metadata[key]} for key in sorted(metadata)]}


def read_metadata(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of what has some, such as a template's properties."""
    items = thing.get("metadata", {}).get("items", ())
    return {item["key"]: item.get("value", "") for item in items}
