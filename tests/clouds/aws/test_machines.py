"""One run end to end, with real machines behind the emulated API.

The real Packer bakes both images of this repository on QEMU machines, and the servers of the group
are QEMU machines booted from the disk that the second bake left.
"""

import shutil
import socket
from pathlib import Path
from typing import ClassVar

import pytest

from harness.aws.aws_project import AwsProject, count_moves
from harness.aws.bakes import BUILDER, lock_upstream, needs_the_plugin, offer_debian
from harness.aws.client import fetch
from harness.aws.cloud import Cloud, find_calls
from harness.aws.debian_cloud import make_disk
from harness.checkout import ROOT

TOOLS = ("qemu-system-x86_64", "mmdebstrap")
SSH_PORT = 2222


class SlowProject(AwsProject):
    """A project whose commands boot machines."""

    timeout: ClassVar[int] = 1500


@pytest.fixture(autouse=True)
def _needs_machines() -> None:
    """Skip where a tool is missing that `./immutable test` installs for the local target."""
    needs_the_plugin()
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing")


def test_servers_booted_from_what_packer_baked_are_verified_and_serve(
    tmp_path: Path, cloud: Cloud
) -> None:
    """From an AMI as Debian's to traffic on a sealed server, and each part on the way is real.

    Packer's own key opens the upstream machine; the bake's launch data, asked of the metadata
    service, opens the sealed base; the launch template's opens the server. The repository's checks
    pass on it, it takes no login when traffic comes, and it answers what its launch says.
    """
    project = SlowProject.create(tmp_path, cloud, packer=ROOT / "packer")
    for folder in ("app", "tests/servers"):
        shutil.rmtree(project.root / folder)
        shutil.copytree(ROOT / folder, project.root / folder)
    upstream = offer_debian(cloud)
    make_disk(cloud.folder / "disks" / upstream)
    lock_upstream(project, upstream)
    project.aws |= {"verify_from": [BUILDER], "boot_deadline": 600}
    project.variables = {"ssh_port": str(SSH_PORT)}
    project.services["web"] |= {"servers": 1, "port": 80}
    project.write_settings()
    versions = project.compute_versions()
    done = project.up()
    assert done.code == 0, done.text
    assert count_moves(done) == 1

    (server,) = cloud.find_running()
    (template,) = find_calls(done.events, "ec2.CreateLaunchTemplate")
    assert server["ImageId"] == template["LaunchTemplateData.ImageId"]
    assert f"{count_checks()} checks passed on 1 server" in done.text
    assert project.find_ways() == []
    assert is_closed(server["PrivateIpAddress"])
    said = fetch(f"{project.find_address()}/version")
    assert said["images"] == versions
    assert said["generation"] == project.live()
    project.assert_serving(servers=1)


def count_checks() -> int:
    """Return how many checks a server of this repository has."""
    files = (ROOT / "tests/servers").glob("test_*.py")
    return sum(file.read_text().count("\ndef test_") for file in files)


def is_closed(address: str) -> bool:
    """Tell whether no sshd answers at an instance's port."""
    with socket.create_connection((address, SSH_PORT), 10) as line:
        return not line.recv(4)
