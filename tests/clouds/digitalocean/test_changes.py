"""The table of changes on DigitalOcean: a tag that a pool follows, and no weights."""

from clouds.shared_tests.changes import Changes, refuse_here
from harness.checkout import Outcome
from harness.digitalocean.cloud import REGION
from harness.digitalocean.do_project import DoProject
from harness.emulated_cloud import find_calls


class TestChanges(Changes[DoProject]):
    """A candidate joins who serves before those leave; droplets are nobody's group."""

    expired = "DigitalOcean does not accept the token"
    makes_again = True
    heals = False

    def see_the_launch(self, project: DoProject, done: Outcome) -> None:
        """Droplets have no agent that lets somebody in, no account's key, and their own network."""
        made = [call["body"] for call in find_calls(done.events, "droplets.create")]
        assert [one["name"].rpartition("-")[2] for one in made] != []
        assert {one["with_droplet_agent"] for one in made} == {False}
        assert [one.get("ssh_keys") for one in made] == [[]] * len(made)

    def name_another_place(self, project: DoProject) -> None:
        """Another region is refused."""
        project.own = {"region": "ams3"}
        project.write_settings()
        refuse_here(project, "There: digitalocean (", "Here: digitalocean (", REGION, "ams3")
        project.own = {}
        project.write_settings()
