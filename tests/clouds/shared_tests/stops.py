"""A Ctrl-C while a run waits for a cloud: it ends the wait, and the next run goes on from there."""

from typing import ClassVar, Generic

from harness.client import Client, keep_asking
from harness.cloud_project import AnyProject, ProjectT
from harness.stops import stop_when

LONGER = "10m"
"""Than this test takes."""


class Stops(Generic[ProjectT]):
    """The waits of a run.

    Attributes:
        moved: The calls or events after which a run only settles.
        launched: The events after which only a launch asks for health, where others ask, too.
        waits: The calls of the next run up to those that only a launch makes again and again; empty
            is two questions for health.
        reach: How servers are reached that are asked for health.
    """

    moved: ClassVar[tuple[str, ...]]
    launched: ClassVar[tuple[str, ...]] = ()
    waits: ClassVar[tuple[str, ...]] = ()
    reach: ClassVar[str] = "ssh_config"

    def stop_its_own_waits(self, project: ProjectT) -> None:
        """Stop waits that this cloud alone has, once servers are healthy."""

    def test_each_wait_hears_of_a_stop(self, project: ProjectT) -> None:
        """A run is stopped in each of its waits; who serves goes on, and nothing is made twice.

        Each run begins with what the one before left half-made, and the last one brings all to an
        end.
        """
        project.own["boot_deadline"] = 600
        project.services["web"] |= {"keep": 0}
        project.write_settings()
        first = project.run()
        assert first.code == 0, first.text
        old = project.live()
        with keep_asking(project.find_address()) as client:
            project.own["verify_through"] = self.reach
            _change(project, env={"GREETING": "two"})
            self._stop_a_throttled_call(project)
            self._stop_the_wait_for_health(project)
            project.own["verify_through"] = "ssh_config"
            project.write_settings()
            self.stop_its_own_waits(project)
            assert project.live() == old
            (candidate,) = {*project.groups()} - {old}
            self._stop_the_settling(project, client)
            assert project.live() == candidate
            last = project.run()
            assert last.code == 0, last.text
            assert project.states() == {candidate: "live", old: "retired"}
            project.ask_three_questions()
        assert client.answers
        assert client.failures == []
        assert [event["event"] for event in project.cloud.read_all()].count("boot") == 2 * 2
        assert project.find_ways() == []

    def _stop_a_throttled_call(self, project: ProjectT) -> None:
        """A call that is slowed down, and would be made again for minutes, is left alone."""
        asked = project.calls.ask_health
        (project.cloud.folder / "sick-two").touch()
        assert "launch web-" in stop(project, *self.launched, asked, slow=asked)
        project.cloud.clear_faults()

    def _stop_the_wait_for_health(self, project: ProjectT) -> None:
        """Servers that answer with errors are waited for no longer."""
        asked = project.calls.ask_health
        assert "launch web-" in stop(project, *(self.waits or (asked, asked)))
        (project.cloud.folder / "sick-two").unlink()

    def _stop_the_settling(self, project: ProjectT, client: Client) -> None:
        """A move that was made stays, though nobody has seen each front end follow it."""
        _change(project, settle=LONGER)
        before = len(client.instances)
        assert "traffic web" in stop(project, *self.moved)
        assert len(client.instances) > before
        _change(project, settle="1s")


def _change(project: AnyProject, **service: object) -> None:
    project.services["web"] |= service
    project.write_settings()


def stop(project: AnyProject, *seen: str, slow: str = "") -> str:
    """Stop an `up` once each of these calls or events was seen, in order; return what it said.

    Args:
        project: Whose.
        seen: The calls or events.
        slow: A call that is slowed down when only the last one is left.
    """
    left = [*seen]
    project.cloud.read_new()

    def has_seen() -> bool:
        for event in project.cloud.read_new():
            if left and left[0] in (event.get("call"), event["event"]):
                left.pop(0)
                slow_down()
        return not left

    def slow_down() -> None:
        if slow and len(left) == 1:
            project.cloud.slow_down(slow)

    slow_down()
    return stop_when(project, has_seen, "--yes").partition("error: ")[2]
