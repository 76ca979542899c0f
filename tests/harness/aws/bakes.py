"""What bakes by the real Packer need: its plugin, and an AMI to start from."""

import json
import subprocess

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import REGION, Cloud, become

BUILDER = "127.0.0.1/32"
DEBIAN = "136693071363"
NEEDED = "github.com/hashicorp/amazon"


def needs_the_plugin() -> None:
    """Skip a test where `./immutable test` has not installed the plugin."""
    done = subprocess.run(
        ["packer", "plugins", "installed"], capture_output=True, text=True, check=False
    )
    if NEEDED not in done.stdout:
        pytest.skip("the amazon plugin of Packer is not installed")


def offer_debian(cloud: Cloud) -> str:
    """Register an AMI as Debian does, for everyone; return its id."""
    ec2 = become(DEBIAN, cloud).client("ec2")
    made: str = ec2.register_image(
        Name="debian-13-amd64-20261101-1", Architecture="x86_64", RootDeviceName="/dev/xvda"
    )["ImageId"]
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"Group": "all"}]})
    return made


def lock_upstream(project: AwsProject, upstream: str) -> None:
    """Have the base start from an AMI."""
    lock = {"rebuild": 0, "entries": {"aws": {"x86_64": {"amis": {REGION: upstream}}}}}
    (project.root / "packer/base/upstream.lock.json").write_text(json.dumps(lock))
