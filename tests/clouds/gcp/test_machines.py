"""One run end to end on Google, with real machines behind the emulated API."""

import urllib.request

from clouds.shared_tests.machines import Machines
from harness.checkout import Outcome
from harness.gcp.debian_google import SETTINGS
from harness.gcp.gcp_project import GcpProject
from immutable_servers.targets.gcp.names import HEADER


class TestMachines(Machines[GcpProject]):
    """Google's agent lets Packer in to its image; template and group together open the server."""

    upstream = SETTINGS

    def see_the_server(self, project: GcpProject, done: Outcome) -> str:
        """The balancer itself names who answers."""
        url = f"{project.find_address()}/version"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - this machine
            assert answer.headers.get_all(HEADER) == [f"web-{project.live()}"]
        (server,) = project.list_everywhere("instances")
        return str(server["networkInterfaces"][0]["networkIP"])
