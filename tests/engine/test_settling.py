"""A move is over when the balancer's nodes have followed, on the real engine."""

import pytest

from harness.engine.project import Outcome, Project
from harness.sequences.changes import follow
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.requests import VARIABLE, Request

QUESTIONS = 5
NEVER = -1


@pytest.fixture
def changed(serving: Project) -> Project:
    """Return a serving project with a new source and no standbys."""
    serving.services["web"]["keep"] = 0
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    return serving


def list_steps(done: Outcome) -> list[str]:
    """Return what was done to traffic and fleets, questions in a row as one."""
    steps = [e["event"] for e in done.events if e["event"] in ("ask", "traffic", "drain", "delete")]
    return [step for step, before in zip(steps, ["", *steps], strict=False) if step != before]


@pytest.mark.core
def test_nothing_is_drained_before_the_last_node_has_followed(changed: Project) -> None:
    """The old generation is there until then; the run says both times, and asks only once."""
    follow(changed, after=QUESTIONS)
    done = changed.up()
    assert done.code == 0, done.text
    assert list_steps(done) == ["ask", "traffic", "ask", "drain", "delete"]
    assert done.count("ask") > QUESTIONS
    assert "traffic web: API " in done.text
    assert ", last old answer " in done.text
    changed.ask_three_questions()


@pytest.mark.parametrize("words", [(), ("--continue-on-error",)])
def test_a_node_that_never_follows_gives_the_traffic_back(
    changed: Project, words: tuple[str, ...]
) -> None:
    """The run fails and deletes nothing; once the node follows the same candidate gets it."""
    old = changed.live()
    follow(changed, after=NEVER)
    done = changed.up(*words)
    done.assert_failed("TrafficError", f"still from {old}", "was given back")
    assert list_steps(done) == ["ask", "traffic", "ask", "traffic"]
    assert changed.live() == old
    changed.assert_serving()
    follow(changed, after=0)
    done = changed.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("delete")) == (0, 0, 1)
    changed.ask_three_questions()


def test_the_first_move_fails_too(project: Project) -> None:
    """Nobody had the traffic before, so nobody gets it back; the next run goes on."""
    follow(project, after=NEVER)
    done = project.up()
    done.assert_failed("TrafficError", "answers failed (503)", "no whole generation is left")
    follow(project, after=0)
    done = project.up()
    assert (done.code, done.count("boot")) == (0, 0), done.text
    project.ask_three_questions()


def test_after_a_kill_the_next_run_waits_for_the_nodes(changed: Project) -> None:
    """The balancer points to the new generation already, and one node does not know."""
    follow(changed, after=NEVER)
    changed.set_fault("in settling: kill engine")
    assert changed.up().code != 0
    changed.unlock()
    follow(changed, after=QUESTIONS)
    done = changed.up()
    assert done.code == 0, done.text
    assert list_steps(done) == ["ask", "drain", "delete"]
    assert done.count("ask") > QUESTIONS
    changed.ask_three_questions()


def test_after_two_kills_what_lost_the_traffic_is_not_drained_at_once(changed: Project) -> None:
    """State and balancer agree on who serves, and a node still sends to the candidate."""
    old = changed.live()
    changed.set_fault("in settling: kill engine")
    assert changed.up().code != 0
    changed.unlock()
    changed.put_back("app/server.txt")
    follow(changed, after=NEVER)
    changed.set_fault("in settling: kill engine")
    assert changed.up().code != 0
    changed.unlock()
    assert changed.live() == old
    follow(changed, after=NEVER)
    done = changed.up()
    done.assert_failed("RetirementError", "still sends it requests")
    assert list_steps(done) == ["ask"]
    follow(changed, after=QUESTIONS)
    done = changed.up()
    assert done.code == 0, done.text
    assert list_steps(done)[:3] == ["ask", "drain", "delete"]
    changed.ask_three_questions()


def test_a_revert_and_a_rollback_wait_too(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back is a move as well."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    new = serving.live()
    follow(serving, after=QUESTIONS)
    pin = Pinned(old, who="me", at="now", why="slow", left=new)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, Request(pins={"web": pin}).render())
        done = serving.up()
    assert done.code == 0, done.text
    assert (list_steps(done), serving.live()) == (["ask", "traffic", "ask"], old)
    assert done.count("ask") > QUESTIONS
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, Request(pins={"web": None}).render())
        assert serving.up().code == 0
    assert serving.live() == new
    serving.put_back("app/server.txt")
    follow(serving, after=QUESTIONS)
    done = serving.up()
    assert (done.code, list_steps(done)) == (0, ["ask", "traffic", "ask"]), done.text
    serving.ask_three_questions()


def test_one_of_two_services_is_not_followed(serving: Project) -> None:
    """The other one moves; the run fails."""
    serving.services["api"] = {**serving.services["web"], "route": {"port": 8081}}
    serving.write_settings()
    assert serving.up().code == 0
    old = {name: serving.live(name) for name in ("web", "api")}
    serving.edit("app/server.txt", "two")
    follow(serving, after=NEVER, services=["web"])
    done = serving.up()
    done.assert_failed("TrafficError", "The address of web")
    assert done.count("delete") == 0
    assert (serving.live("web") == old["web"], serving.live("api") == old["api"]) == (True, False)
    follow(serving, after=0)
    assert serving.up().code == 0
    for name in ("web", "api"):
        serving.ask_three_questions(name)
