"""Says by what AMIs are whole, and deletes them with their snapshots."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX

IMAGE = f"{PREFIX}image"
"""The tag that Packer writes when an AMI is available: one of ours without it is not finished."""
GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")


def delete_ami(api: Api, ami: Mapping[str, Any]) -> None:
    """Deregister an AMI and delete its snapshots; what is gone is no error."""
    api.call("ec2", "deregister_image", missing=GONE, ImageId=ami["ImageId"])
    for disk in ami.get("BlockDeviceMappings", []):
        if snapshot := disk.get("Ebs", {}).get("SnapshotId"):
            delete_snapshot(api, snapshot)


def delete_snapshot(api: Api, snapshot: str) -> None:
    """Delete a snapshot; a missing one is no error."""
    missing = ("InvalidSnapshot.NotFound",)
    api.call("ec2", "delete_snapshot", missing=missing, SnapshotId=snapshot)
