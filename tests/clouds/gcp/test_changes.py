"""The table of changes on Google: a URL map, which front ends follow in their own time."""

from clouds.shared_tests.changes import Changes, refuse_here
from harness.checkout import Outcome
from harness.gcp.cloud import ZONES, find_calls
from harness.gcp.gcp_project import GcpProject


class TestChanges(Changes[GcpProject]):
    """A candidate is seen by front ends before it is verified; a zone may have no room."""

    most_tries = len(ZONES)
    expired = "credentials"

    def see_the_launch(self, project: GcpProject, done: Outcome) -> None:
        """Front ends are seen to lead to it, and its template is sealed."""
        assert "front ends lead to it after" in done.text
        (template,) = find_calls(done.events, "compute.instanceTemplates.insert")
        items = template["body"]["properties"]["metadata"]["items"]
        metadata = {one["key"]: one["value"] for one in items}
        assert metadata["block-project-ssh-keys"] == "TRUE"
        assert "login_key" not in metadata["immutable-launch"]

    def name_another_place(self, project: GcpProject) -> None:
        """Another region, and another project, are refused."""
        for own in ({"region": "europe-west1"}, {"project": "debian-cloud"}):
            project.own = own
            project.write_settings()
            refuse_here(project, "There: gcp (", "Here: gcp (", *own.values())
        project.own = {}
        project.write_settings()
