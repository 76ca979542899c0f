"""Flags and surgery that a person may use: whatever they do, the three questions hold."""

import pytest
from project import Project


@pytest.mark.parametrize("kind", ["Verification", "Seal", "Retirement", "InstantFleet", "Access"])
def test_state_that_was_deleted(serving: Project, kind: str) -> None:
    """A resource that somebody took out of the state costs no generation its traffic."""
    live = serving.live()
    shown = serving.pulumi("stack", "--show-urns", "-s", "dev").stdout
    urn = next(word for word in shown.split() if f":{kind}::web-{live}" in word)
    serving.pulumi("state", "delete", urn, "--yes", "--force", "--target-dependents", "-s", "dev")
    done = serving.up()
    assert done.code == 0, done.text
    assert serving.live() == live
    serving.ask_three_questions()


def test_the_balancer_is_protected(serving: Project) -> None:
    """A replacement that would delete the balancer or the pointer is refused."""
    for kind in ("InstantBalancer", "Traffic"):
        live = serving.live()
        assert serving.up("--replace", f"**{kind}::*").code != 0
        assert serving.live() == live
    serving.assert_serving()


def test_a_key_that_was_tidied_away_is_made_again(serving: Project) -> None:
    """A launch that was left out, then another source, then the first one again: it is verified."""
    serving.services["web"]["size"] = "medium"
    serving.write_settings()
    assert serving.up("--exclude", "**InstantFleet::web-*").code != 0
    serving.break_app()
    assert serving.up().code != 0
    serving.mend_app()
    done = serving.up()
    assert done.code == 0, done.text
    serving.ask_three_questions()


def test_a_first_pointer_that_was_left_out(project: Project) -> None:
    """A run without the pointer of a service that has none yet fails, and the next one serves."""
    done = project.up("--exclude", "**Traffic::*")
    done.assert_failed("leaves out what has to come first", "missing: live")
    done = project.up()
    assert done.code == 0, done.text
    project.ask_three_questions()
