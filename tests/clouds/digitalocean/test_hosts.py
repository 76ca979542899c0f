"""Two services by host name, each at a balancer of its own that speaks HTTPS."""

from collections.abc import Mapping
from typing import Any

from clouds.shared_tests.hosts import HOSTS, Hosts
from harness.checkout import Outcome
from harness.digitalocean.do_project import DoProject

CERTIFICATE = {"name": "www", "private_key": "key", "leaf_certificate": "leaf"}


class TestHosts(Hosts[DoProject]):
    """No balancer tells hosts apart: the user's DNS leads each name to its service's own."""

    def find_settings(self, project: DoProject) -> Mapping[str, Any]:
        """Upload a certificate."""
        assert project.cloud.ask("POST", "certificates", CERTIFICATE).code == 201
        return {"certificate": CERTIFICATE["name"]}

    def see_the_balancer(self, project: DoProject, done: Outcome) -> None:
        """There are two, and each one redirects; whatever host is asked for is the service's."""
        del done
        found = project.find_all("load_balancers")
        assert sorted(one["name"].rpartition("-")[0] for one in found) == sorted(HOSTS)
        for one in found:
            entries = {
                rule["entry_port"]: rule["entry_protocol"] for rule in one["forwarding_rules"]
            }
            assert entries == {443: "https", 80: "http"}
            assert one["redirect_http_to_https"]
        assert len({one["ip"] for one in found}) == len(HOSTS)

    def find_hosts(self, project: DoProject) -> Mapping[str, str]:
        """Each balancer leads to one generation."""
        return {name: project.live(name) for name in HOSTS}
