"""How often our code asks Google in a run that changes nothing."""

from clouds.shared_tests.calls import Calls
from harness.cloud_project import AnyProject


class TestCalls(Calls):
    """The budget of every cloud, also for services that are scaled."""

    def change_by_host(self, project: AnyProject) -> None:
        """Have each service be scaled."""
        project.own["scaling"] = {name: {"max": 4} for name in project.services}
