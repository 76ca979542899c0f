"""design.md's table of changes on an emulated cloud: the real engine, the real program.

A cloud's own test says what it sees of the cloud besides.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import ClassVar, Generic

import pytest

from harness.checkout import Outcome
from harness.client import keep_asking
from harness.cloud_project import AnyProject, ProjectT
from harness.emulated_cloud import find_calls
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.requests import VARIABLE, Request, release
from immutable_servers.targets import find_target_class

IMAGES = 2
"""So many images the sample has."""
SERVERS = 2
"""So many servers its service has at first."""


class Changes(Generic[ProjectT]):
    """The table of changes.

    Attributes:
        most_tries: At most so many calls make the one server of a changed check.
        draining: Calls between a move and the end of a fleet.
        expired: What a run says whose credentials have ended.
        asks_again: Whether a move whose answer was lost is asked for again in the same run.
        makes_again: Whether the plugin makes a second thing where the first one's answer was lost.
        heals: Whether the cloud makes a server again that somebody has ended.
    """

    most_tries: ClassVar[int] = 1
    draining: ClassVar[tuple[str, ...]] = ()
    expired: ClassVar[str]
    asks_again: ClassVar[bool] = True
    makes_again: ClassVar[bool] = False
    heals: ClassVar[bool] = True

    def see_the_launch(self, project: ProjectT, done: Outcome) -> None:
        """Assert what is special in a first run on this cloud."""
        raise NotImplementedError

    def name_another_place(self, project: ProjectT) -> None:
        """Have each other place than the stack's own be refused by `refuse_here`."""
        raise NotImplementedError

    def have_credentials_that_end_soon(self, project: ProjectT) -> None:
        """Assert that such begin nothing, where they say when they end."""

    def test_from_a_first_run_to_a_destroy(self, project: ProjectT) -> None:
        """A user who asks all the time is always answered by verified servers, whatever changes."""
        self._run_first(project)
        with keep_asking(project.find_address()) as client:
            _change_nothing(project)
            self.name_another_place(project)
            project.cloud.read_new()
            project.ask_three_questions()
            first = project.live()
            _change_the_source(project)
            _go_back(project, first)
            _change_the_number_of_servers(project)
            self._change_a_check(project)
            self._change_the_environment(project)
            _correct_the_environment_after_a_rollback(project)
            _fail_a_check(project)
            _leave_things_out(project)
            _try_a_canary(project)
            self._lose_the_credentials(project)
            _kill_the_engine_after_a_move(project)
            project.ask_three_questions(servers=3)
        assert client.answers
        assert client.failures == []
        _destroy(project)

    def test_what_happens_without_our_knowing(self, project: ProjectT) -> None:
        """What was made, moved or ended behind our back is found, and nothing is made twice."""
        self._lose_the_answer_of_a_launch(project)
        self._lose_the_answer_of_a_move(project)
        self._end_a_server_by_hand(project)

    def _run_first(self, project: ProjectT) -> None:
        """A preview changes nothing and needs its own policy alone.

        The first run launches, verifies, seals, then moves traffic.
        """
        preview = project.run(preview=True)
        assert preview.code == 0, preview.text
        assert project.count_changes(preview) == []
        assert project.find_refused(preview.events, "preview") == set()
        done = project.run()
        assert done.code == 0, done.text
        boots = [event for event in done.events if event["event"] == "boot"]
        assert len(boots) == 2
        order = [event["event"] for event in done.events if event["event"] in ("seal", "traffic")]
        assert order == ["seal", "seal", "traffic"]
        self.see_the_launch(project, done)
        assert project.states() == {project.live(): "live"}
        assert project.find_ways() == []
        project.cloud.read_new()
        refreshed = project.preview("--refresh")  # the owner's tags are nobody's change
        assert [step for step in refreshed.steps if not step.startswith("refresh ")] == []

    def _change_a_check(self, project: ProjectT) -> None:
        """It runs on one fresh server that serves nobody and goes again; no generation is made."""
        live = project.live()
        project.edit("tests/servers/test_sample.py", "# one more promise")
        done = project.run()
        assert done.code == 0, done.text
        assert (done.count("boot"), done.count("end"), project.count_moves(done)) == (1, 1, 0)
        made = find_calls(done.events, project.calls.make_server)
        assert 1 <= len(made) <= self.most_tries
        assert (project.live(), project.find_ways()) == (live, [])

    def _change_the_environment(self, project: ProjectT) -> None:
        """A new generation from the same image; the one that `keep` does not hold ends drained."""
        old, images = project.live(), project.count_images()
        (standby,) = {*project.groups()} - {old}
        project.services["web"]["env"] = {"GREETING": "hi"}
        project.write_settings()
        done = project.run()
        assert done.code == 0, done.text
        assert (done.count("boot"), done.count("end"), project.count_moves(done)) == (3, 2, 1)
        assert project.count_images() == images
        assert project.states()[standby] == "retired"
        assert {*project.groups()} == {project.live(), old}
        calls = [event["call"] for event in done.events if event["event"] == "api"]
        ordered = (project.calls.move, *self.draining, project.calls.end_fleet)
        places = [calls.index(one) for one in ordered]
        assert places == sorted(places)
        project.assert_serving(servers=3)

    def _lose_the_credentials(self, project: ProjectT) -> None:
        """Credentials that end in a run leave what the next one mends.

        Every call is refused once two generations have traffic, by a canary or on the way, also the
        one that takes it back: the next run gives all to who served, before anything else.
        """
        canary = project.services["web"].get("canary")
        if canary:
            canary["watch"] = "1h"
            project.write_settings()
        old = project.live()
        project.edit("app/server.txt", "version that meets the end of credentials")
        if canary:
            self.have_credentials_that_end_soon(project)
        assert self.expired in project.end_credentials_when_moved()
        if canary:
            canary["watch"] = "1s"
            project.write_settings()
        done = project.run()
        assert done.code == 0, done.text
        weights = [event["weights"] for event in done.events if event["event"] == "traffic"]
        assert [len(one) for one in weights] == [1, 2, 1]
        if canary:
            assert [sorted(one.values()) for one in weights] == [[100], [40, 60], [100]]
        assert project.states()[old] == "standby"

    def _lose_the_answer_of_a_launch(self, project: ProjectT) -> None:
        """The group that a failed run made is adopted by its name; of two servers one goes."""
        project.cloud.lose_answers(project.calls.make_fleet)
        first = project.run()
        assert (first.code == 0) == self.makes_again, first.text
        assert len(project.groups()) == 1
        done = project.run()
        assert done.code == 0, done.text
        assert find_calls(done.events, project.calls.make_fleet) == []
        events = [event["event"] for event in project.cloud.read_all()]
        twins = int(self.makes_again)
        assert (events.count("boot"), events.count("end")) == (SERVERS + twins, twins)
        project.assert_serving()

    def _lose_the_answer_of_a_move(self, project: ProjectT) -> None:
        """Traffic has moved once, whether the run knows it or not: the next one leaves it there."""
        first = project.live()
        project.edit("app/server.txt", "two")
        project.cloud.lose_answers(project.calls.move)
        done = project.run()
        moves = [event for event in done.events if project.is_move(event)]
        assert (done.code == 0, len(moves)) == (self.asks_again, 1), done.text
        moved = project.live()
        assert moved != first
        done = project.run()
        assert done.code == 0, done.text
        assert (project.live(), project.count_moves(done), done.count("boot")) == (moved, 0, 0)
        project.assert_serving()

    def _end_a_server_by_hand(self, project: ProjectT) -> None:
        """It is made again, with no way to log in to it, and a run finds nothing to do.

        Where the cloud does not, the run does: it makes servers again beside those that are left.
        """
        live = project.live()
        project.end_server(live)
        done = project.run()
        assert done.code == 0, done.text
        assert (done.steps == []) == self.heals, done.text
        assert project.groups()[project.live()] == SERVERS
        assert project.find_ways() == []


def refuse_here(project: AnyProject, *said: str) -> None:
    """Assert that a stack is refused at the place that it names now, before anything is changed."""
    for done in (project.preview(), project.up()):
        done.assert_failed("with servers of web", *said)
        assert (done.steps, project.count_changes(done)) == ([], [])


def _change_nothing(project: AnyProject) -> None:
    """A preview of an unchanged stack asks the catalog once for each image, and shows nothing."""
    preview = project.run(preview=True)
    assert (preview.code, preview.steps) == (0, []), preview.text
    assert project.count_changes(preview) == []
    assert project.find_refused(preview.events, "preview") == set()
    assert len(find_calls(preview.events, project.calls.find_image)) <= IMAGES
    project.ask_three_questions()


def _change_the_source(project: AnyProject) -> None:
    """A new generation takes the traffic with one change of where it goes; the old one stays."""
    old = project.live()
    project.edit("app/server.txt", "version two")
    done = project.run()
    assert done.code == 0, done.text
    assert done.count("boot") == 2
    assert project.count_moves(done) == 1
    assert project.states() == {project.live(): "live", old: "standby"}
    project.assert_serving()


def _go_back(project: AnyProject, first: str) -> None:
    """Going back to the standby is one change of where traffic goes: no server, no image."""
    project.put_back("app/server.txt")
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("end")) == (0, 0)
    assert (project.live(), project.count_changes(done)) == (first, [*project.list_moving_calls()])
    project.assert_serving()


def _change_the_number_of_servers(project: AnyProject) -> None:
    """The live fleet grows in place; what is new serves when it is healthy, and boots sealed."""
    live = project.live()
    project.services["web"]["servers"] = 3
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), project.count_moves(done)) == (1, 0)
    assert project.live() == live
    project.assert_serving(servers=3)


def _correct_the_environment_after_a_rollback(project: AnyProject) -> None:
    """The generation that was left is held off, and a corrected env of its image is launched."""
    left = project.live()
    (standby,) = {*project.groups()} - {left}
    pin = Pinned(standby, who="me", at="now", why="bad env", left=left)
    for asked in (Request(pins={"web": pin}), Request(pins={"web": release(pin)}), Request()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, asked.render())
            done = project.run()
        assert done.code == 0, done.text
        assert (project.live(), done.count("boot")) == (standby, 0)
    project.services["web"]["env"] = {"GREETING": "right"}
    project.write_settings()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), project.count_moves(done)) == (3, 1)
    assert {*project.groups()} == {project.live(), standby}
    project.assert_serving(servers=3)


def _fail_a_check(project: AnyProject) -> None:
    """A failed candidate gets no traffic, nothing is deleted; a revert retires it.

    Somebody who logs in to it has it made again, whether his way in noted it here or not.
    """
    live = project.live()
    project.break_app()
    log_in(_fail(project, live, "test_app_is_not_broken", boots=3))
    log_in(_fail(project, live, "test_app_is_not_broken", boots=3)).unlink()
    _fail(project, live, "somebody logged in to web-", boots=0)
    project.mend_app()
    done = project.run()
    assert done.code == 0, done.text
    assert (done.count("boot"), project.count_moves(done)) == (0, 0)


def _fail(project: AnyProject, live: str, said: str, *, boots: int) -> str:
    """Run an update that fails with what is said, and leaves everything else; return its text."""
    done = project.run()
    done.assert_failed("VerificationError", said)
    assert (done.count("boot"), done.count("end"), project.count_moves(done)) == (boots, 0, 0), (
        done.text
    )
    assert project.live() == live
    return done.text


def log_in(text: str) -> Path:
    """Log in to a server as a failure says; return the file that noted it here."""
    command = shlex.split(re.findall(r"log in until \d\d:\d\d UTC: (ssh .+)", text)[0])
    subprocess.run([*command, "true"], check=True, timeout=60)
    used = Path(command[2]).with_name("used")
    assert used.read_text()
    return used


def _leave_things_out(project: AnyProject) -> None:
    """A run without its verification, or of its traffic alone, moves and ends nothing."""
    live = project.live()
    project.edit("app/server.txt", "version three")
    for choice in (("--exclude", "**Verification::web-*"), ("--target", "**Traffic::web")):
        done = project.run(*choice)
        assert (project.count_moves(done), done.count("end")) == (0, 0), done.text
        assert project.live() == live


def _try_a_canary(project: AnyProject) -> None:
    """The candidate gets its share, is watched by what the cloud counts, and then gets all.

    A balancer that cannot weigh has a preview refuse the setting; without it the candidate gets
    all at once.
    """
    canary = {"weight": 60, "watch": "1s", "max_error_rate": 0.1, "min_requests": 1}
    weighs = find_target_class(project.target).can_weigh
    project.services["web"]["canary"] = canary
    project.write_settings()
    if not weighs:
        for refused in (project.preview(), project.up()):
            refused.assert_failed("services.web.canary", "needs a balancer that splits traffic")
            assert (refused.steps, project.count_changes(refused)) == ([], [])
        del project.services["web"]["canary"]
        project.write_settings()
    old = project.live()
    done = project.run()
    assert done.code == 0, done.text
    weights = [event["weights"] for event in done.events if event["event"] == "traffic"]
    if weighs:
        assert [sorted(one.values()) for one in weights] == [[40, 60], [100]]
    assert [len(one) for one in weights] == [2, 1]
    assert project.states()[old] == "standby"


def _kill_the_engine_after_a_move(project: AnyProject) -> None:
    """Traffic moved, and nobody wrote it down; the source is reverted: it goes back, at once."""
    project.services["web"].pop("canary", None)
    project.write_settings()
    live, source = project.live(), project.root / "app" / "server.txt"
    before = source.read_text()
    project.edit("app/server.txt", "version four")
    project.kill_when_moved()
    assert project.live() != live
    source.write_text(before)
    done = project.run()
    assert done.code == 0, done.text
    assert (project.live(), done.count("boot"), project.count_moves(done)) == (live, 0, 1)


def _destroy(project: AnyProject) -> None:
    """Everything of the stack goes; images stay."""
    images = project.count_images()
    done = project.destroy()
    assert done.code == 0, done.text
    assert project.list_left() == []
    assert project.count_images() == images
