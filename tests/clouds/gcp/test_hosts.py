"""Two services behind one URL map that speaks HTTPS, told apart by host name."""

import re
from collections.abc import Mapping
from typing import Any

from clouds.shared_tests.hosts import HOSTS, Hosts
from harness.checkout import Outcome
from harness.gcp.gcp_project import GcpProject


class TestHosts(Hosts[GcpProject]):
    """Each host has a part of the map, and a managed certificate."""

    def find_settings(self, project: GcpProject) -> Mapping[str, Any]:
        """Have Google make one certificate for each name."""
        return {"certificate": [*HOSTS.values()]}

    def see_the_balancer(self, project: GcpProject, done: Outcome) -> None:
        """There are two maps, of which one sends elsewhere; front ends were seen to lead there."""
        for name in HOSTS:
            said = rf"launch {name}-\w+: front ends lead to it after"
            assert re.search(said, done.text), done.text
        shared, redirect = sorted(project.find_all("urlMaps"), key=lambda one: one["name"])
        abort = shared["defaultRouteAction"]["faultInjectionPolicy"]["abort"]
        assert (abort["httpStatus"], abort["percentage"]) == (404, 100)
        assert redirect["defaultUrlRedirect"]["httpsRedirect"]
        rules = project.find_all("globalForwardingRules")
        assert {one["portRange"].partition("-")[0] for one in rules} == {"443", "80"}
        (secure,) = project.find_all("targetHttpsProxies")
        assert len(secure["sslCertificates"]) == len(HOSTS)
        hosts = {rule["pathMatcher"]: rule["hosts"] for rule in shared["hostRules"]}
        assert hosts == {name: [host] for name, host in HOSTS.items()}

    def find_hosts(self, project: GcpProject) -> Mapping[str, str]:
        """The map's parts have the services' names."""
        return {name: project.live(name) for name in HOSTS}
