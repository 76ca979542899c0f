"""The plain program on the emulated Google cloud."""

from pathlib import Path

from harness import cloud_checkout
from harness.gcp.cloud import PROJECT, REGION, Cloud

IMAGE = "projects/debian-cloud/global/images/family/debian-13"

PlainProject = cloud_checkout.PlainProject[Cloud]


def make_plain(folder: Path, cloud: Cloud) -> PlainProject:
    """Copy the program and make its stack."""
    return PlainProject.create(folder, cloud, image=IMAGE, project=PROJECT, region=REGION)
