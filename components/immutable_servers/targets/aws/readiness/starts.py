"""Looks at what bakes start from: the AMIs that the lock names."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.readiness import Status
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import where


def look(api: Api, entry: Mapping[str, Any]) -> tuple[Status, str]:
    """Judge the AMI that an entry of the lock names."""
    ami = entry.get("amis", {}).get(api.region, "")
    if not ami:
        return "not ok", f"the lock names no AMI in {api.region}"
    # By a filter: an id that is gone is an error where it is asked for by itself.
    found = api.list("ec2", "describe_images", Filters=[where("image-id", ami)])
    if not found:
        return "not ok", f"{ami} does not exist any more"
    return "ok", f"{ami}, {found[0]['Name']}"
