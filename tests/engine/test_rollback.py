"""Going back without a source change: pins, on the real engine and the instant target."""

import pytest

from harness.engine.matrix import promise_two
from harness.engine.project import Project
from immutable_servers.ledger.pin import Pin, Pinned, render_pin
from immutable_servers.planning.requests import VARIABLE, Request, release


def set_pin(patch: pytest.MonkeyPatch, pin: Pin | None) -> None:
    """Ask the next runs for a pin, as `./immutable rollback` does."""
    patch.setenv(VARIABLE, Request(pins={"web": pin}).render())


def make_pin(project: Project, generation: str) -> Pinned:
    """Return a pin to a generation that leaves the live one."""
    return Pinned(generation, who="me", at="now", why="slow", left=project.live())


def test_rollback_to_a_standby_and_resume(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back costs no bake and no boot; the pin outlives a newer source; resume follows it again.

    Its image was not needed while the pin stood, and was baked by somebody else since.
    """
    old = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    left = serving.live()
    pin = make_pin(serving, old)
    with monkeypatch.context() as patch:
        set_pin(patch, pin)
        done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("traffic")) == (0, 0, 1)
    assert serving.live() == old
    assert serving.ledger()["pin"] == render_pin(pin)
    serving.ask_three_questions()
    serving.edit("app/server.txt", "three")
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("traffic")) == (0, 0, 0)
    assert "pinned to generation" in done.text
    assert serving.live() == old
    assert serving.drive("verify", "web").code == 0
    with monkeypatch.context() as patch:
        set_pin(patch, release(pin))
        serving.up("--exclude", "**Image::app").assert_failed("leaves out the image app")
        done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot")) == (0, 2)
    assert serving.live() not in (old, left)
    assert serving.ledger()["pin"] == {}
    serving.ask_three_questions()


def test_resume_holds_what_was_left(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same source and checks a resume changes nothing; an empty pin takes both again."""
    old = serving.live()
    promise_two(serving)
    assert serving.up().code == 0
    left, pin = serving.live(), make_pin(serving, old)
    for asked, expected in ((pin, old), (release(pin), old), (None, left)):
        with monkeypatch.context() as patch:
            set_pin(patch, asked)
            done = serving.up()
        assert done.code == 0, done.text
        assert (done.count("bake"), done.count("boot"), done.count("probe")) == (0, 0, 0)
        assert serving.live() == expected
        serving.ask_three_questions()


def test_rollback_to_a_retired_generation(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its artifact is launched again as the next round: a boot, no bake, and verified.

    Also by the next run, where the one that pinned it left all of it out.
    """
    old = serving.live()
    for text in ("two", "three"):
        serving.edit("app/server.txt", text)
        assert serving.up().code == 0
    assert serving.states()[old] == "retired"
    with monkeypatch.context() as patch:
        set_pin(patch, make_pin(serving, old))
        done = serving.up("--target", "**Image::app")
        assert done.code == 0, done.text
    assert serving.ledger()["pin"]["again"] == old
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("seal")) == (0, 2, 1)
    live = serving.live()
    assert serving.ledger()["generations"][live]["round"] == 1
    assert serving.ledger()["pin"]["generation"] == live
    serving.ask_three_questions()


def test_keep_for_retires_a_standby_in_time(serving: Project) -> None:
    """A standby goes once traffic left it longer ago than `keep_for`."""
    old = serving.live()
    serving.services["web"]["keep_for"] = "1h"
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    left_at = serving.ledger()["generations"][old]["left_at"]
    serving.ask_three_questions()
    serving.rewrite_state(f'"left_at": {left_at}', f'"left_at": {left_at - 3601}')
    done = serving.up()
    assert done.code == 0, done.text
    assert list(serving.fleets()) == [serving.live()]
    serving.ask_three_questions()


def test_a_pin_to_nothing_known_changes_nothing(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pin that names an unknown generation stops the run before anything is declared."""
    live = serving.live()
    with monkeypatch.context() as patch:
        set_pin(patch, Pinned("00000000"))
        done = serving.up()
    assert done.code != 0
    assert "LedgerError" in done.text
    assert serving.live() == live
    serving.ask_three_questions()
