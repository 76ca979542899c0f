"""One run end to end on DigitalOcean, with real machines behind the emulated API.

Their network has no use for DHCP: QEMU's would give another address than the one that the metadata
service says, and nobody would reach that.
"""

import os
from pathlib import Path

import pytest

from clouds.shared_tests.machines import Machines
from harness.checkout import Outcome
from harness.digitalocean.debian_droplet import SETTINGS
from harness.digitalocean.do_project import DoProject

PORT = 80
FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.mark.skipif(
    os.geteuid() != 0 and int(FIRST_FREE.read_text()) > PORT,
    reason="droplets are asked on their own port, which only root may listen on here",
)
class TestMachines(Machines[DoProject]):
    """Servers boot from the snapshot, and take their addresses from the metadata alone."""

    upstream = SETTINGS

    def see_the_server(self, project: DoProject, done: Outcome) -> str:
        """It is the only droplet, made from the snapshot of the application."""
        del done
        (server,) = project.find_all("droplets")
        images = {one["id"] for one in project.list_images().values()}
        assert server["image"]["id"] in images
        return str(server["networks"]["v4"][0]["ip_address"])
