"""Two services of one address that speaks HTTPS, told apart by host name."""

from collections.abc import Mapping
from typing import Any, Generic

from harness.checkout import Outcome
from harness.cloud_project import ProjectT

HOSTS = {"web": "www.example.com", "api": "api.example.com"}


class Hosts(Generic[ProjectT]):
    """Services by host name."""

    def find_settings(self, project: ProjectT) -> Mapping[str, Any]:
        """Return the target's settings that have it speak HTTPS with a certificate of its own."""
        raise NotImplementedError

    def see_the_balancer(self, project: ProjectT, done: Outcome) -> None:
        """Assert that it speaks HTTPS, sends HTTP there, and answers 404 to a host of nobody."""
        raise NotImplementedError

    def find_hosts(self, project: ProjectT) -> Mapping[str, str]:
        """Return the only generation that each service's host name leads to."""
        raise NotImplementedError

    def test_two_services_by_host_over_https(self, project: ProjectT) -> None:
        """Each host leads to its own service, HTTP is sent to HTTPS, and one may fail alone.

        A host of no service is not found.
        """
        project.own |= {**self.find_settings(project), "redirect": 80}
        web = {**project.services["web"], "servers": 1}
        project.services = {name: {**web, "route": {"host": host}} for name, host in HOSTS.items()}
        project.write_settings()
        done = project.run()
        assert done.code == 0, done.text
        self.see_the_balancer(project, done)
        before = self.find_hosts(project)
        assert before.keys() == HOSTS.keys()

        project.edit("app/server.txt", "two")
        project.break_app("api")
        done = project.run()
        done.assert_failed("VerificationError", "test_app_is_not_broken")
        after = self.find_hosts(project)
        assert project.count_moves(done) == 1
        assert after["api"] == before["api"]
        assert after["web"] != before["web"]
        assert after["web"] in project.states()
