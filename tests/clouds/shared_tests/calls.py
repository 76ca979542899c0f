"""How often our code asks a cloud in a run that changes nothing."""

from collections import Counter

from harness.cloud_project import AnyProject
from harness.emulated_cloud import count_ours

OF_AN_IMAGE = 1
OF_A_SERVICE = 6
OF_THE_STACK = 20


class Calls:
    """The budget of calls."""

    def change_by_host(self, project: AnyProject) -> None:
        """Change settings of services by host name, where this cloud has what may cost calls."""

    def test_services_by_port(self, project: AnyProject) -> None:
        """An update with nothing to do makes 1 call for each image and 6 for each service, at most.

        What the stack asks once is little, and generations and images add nothing.
        """
        web, images = project.services["web"], project.calls.find_image
        one = _count(project)
        assert 0 < one[images] <= 2 * OF_AN_IMAGE
        assert one.total() <= OF_THE_STACK + OF_A_SERVICE + one[images], one

        project.services["api"] = {**web, "route": {"port": 8081}}
        two = _count(project)
        assert two[images] == one[images]
        assert two.total() - one.total() <= OF_A_SERVICE, two - one

        web["keep"] = 5
        for text in ("two", "three"):
            project.edit("app/server.txt", text)
            assert project.run().code == 0
        assert _count(project) == two

    def test_services_by_host(self, project: AnyProject) -> None:
        """The same holds for services that share a listener."""
        web = project.services["web"]
        web["route"] = {"host": "www.example.com"}
        self.change_by_host(project)
        one = _count(project)
        images = one[project.calls.find_image]
        assert one.total() <= OF_THE_STACK + OF_A_SERVICE + images, one
        project.services["api"] = {**web, "route": {"host": "api.example.com"}}
        self.change_by_host(project)
        two = _count(project)
        assert two.total() - one.total() <= OF_A_SERVICE, two - one


def _count(project: AnyProject) -> Counter[str]:
    """Update until there is nothing to do; return our calls of the last update, by their name.

    Its preview makes no call more.
    """
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    again = project.run()
    assert (again.code, again.steps) == (0, []), again.text
    calls, preview = count_ours(again.events), count_ours(project.run(preview=True).events)
    assert not preview - calls, preview - calls
    return calls
