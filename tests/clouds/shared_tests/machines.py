"""One run end to end, with real machines behind the emulated API.

The real Packer bakes both images of this repository on QEMU machines, and the servers of the group
are QEMU machines booted from the disk that the second bake left.
"""

import shutil
import socket
from pathlib import Path
from typing import Any, ClassVar, Generic

import pytest

from harness.checkout import ROOT, Outcome
from harness.client import fetch
from harness.cloud_project import SSH_PORT, ProjectT, UnderTest
from harness.debian_cloud import make_disk
from harness.emulated_cloud import EmulatedCloud
from harness.packer_plugins import needs_plugin

TOOLS = ("qemu-system-x86_64", "mmdebstrap")
BOOTING = 1500
"""Seconds that a command may take which boots machines."""


class Machines(Generic[ProjectT]):
    """From an image of Debian's to traffic on a sealed server.

    Attributes:
        upstream: What the cloud does to Debian's disk, as lines of a shell script.
    """

    upstream: ClassVar[str]

    def see_the_server(self, project: ProjectT, done: Outcome) -> str:
        """Assert what is special in the only server; return its private address."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _needs_machines(self, under_test: UnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Skip where a tool is missing that `./immutable test` installs for the local target."""
        needs_plugin(under_test.project.packer_plugin)
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            pytest.skip(f"{' and '.join(missing)} missing")
        monkeypatch.setattr(under_test.project, "timeout", BOOTING)

    @pytest.mark.sample
    def test_servers_booted_from_what_packer_baked_are_verified_and_serve(
        self, tmp_path: Path, cloud: EmulatedCloud, under_test: UnderTest
    ) -> None:
        """From an image as the cloud's to traffic, and each part on the way is real.

        Packer's own key opens the upstream machine, and nothing of it is left; the bake's launch
        data, asked of the metadata service, opens the sealed base; the launch data of the group
        opens the server. The repository's checks pass on it, it takes no login when traffic comes,
        and it answers what its launch says.
        """
        project: Any = under_test.project.create(tmp_path, cloud, packer=ROOT / "packer")
        for folder in ("app", "tests/servers"):
            shutil.rmtree(project.root / folder)
            shutil.copytree(ROOT / folder, project.root / folder)
        make_disk(cloud.folder / "disks" / project.prepare_bakes(), self.upstream)
        project.own |= {"boot_deadline": 600}
        project.services["web"] |= {"servers": 1, "port": 80}
        project.write_settings()
        versions = project.compute_versions()
        done = project.up()
        assert done.code == 0, done.text
        assert project.count_moves(done) == 1

        assert f"{count_checks()} checks passed on 1 server" in done.text
        assert project.find_ways() == []
        assert is_closed(self.see_the_server(project, done))
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
