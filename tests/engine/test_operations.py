"""Flags and surgery that a person may use: whatever they do, the three questions hold."""

import re
import shlex

import pytest

from harness.engine.matrix import lose_idle_fleets
from harness.engine.project import Project
from harness.engine.watcher import start_watching


@pytest.mark.parametrize("kind", ["Verification", "Seal", "Retirement", "InstantFleet", "Access"])
def test_state_that_was_deleted(serving: Project, kind: str) -> None:
    """A resource that somebody took out of the state costs no generation its traffic."""
    live = serving.live()
    delete_from_state(serving, kind, live)
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


def test_a_pointer_that_is_in_no_state_and_left_out(serving: Project) -> None:
    """A run that leaves out `Traffic` says of no generation in which state it is; the next does."""
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    states = serving.states()
    delete_from_state(serving, "Traffic")
    serving.up("--exclude", "**Traffic::*").assert_failed("missing: live")
    shown = serving.drive("status", "dev")
    assert (shown.code, "standby" in shown.text) == (0, True), shown.text
    done = serving.up()
    assert done.code == 0, done.text
    assert serving.states() == states
    serving.ask_three_questions()


def test_what_a_run_leaves_out_is_believed_of_no_other_servers(serving: Project) -> None:
    """A verdict in the state gives traffic to no servers that it did not look at, nor to a part.

    The engine was killed when all was verified and sealed; then somebody deletes a server, then
    all, and runs without one resource or another.
    """
    old = serving.live()
    serving.edit("app/server.txt", "two")
    serving.set_fault("before traffic: kill engine")
    assert serving.up().code != 0
    serving.unlock()
    (new,) = set(serving.fleets()) - {old}
    left_out = "leaves out what has to come first"
    with start_watching(serving.world):
        (serving.world / "fleets" / f"web-{new}" / "server-1").unlink()
        done = serving.up("--exclude", "**InstantFleet::web-*")
        done.assert_failed(
            f"generation {new} is not healthy", "1 of 2 servers exist", f"web --generation {new}"
        )
        lose_idle_fleets(serving)
        done = serving.up("--exclude", "**Access::web-*")
        done.assert_failed(left_out, "without a new login window")
        done = serving.up("--exclude", "**Verification::web-*")
        done.assert_failed(left_out, f"web-{new} were launched again since they passed")
        done = serving.up("--exclude", "**Verification::web-*", "--exclude", "**Seal::web-*")
        done.assert_failed(left_out, f"web-{new} were launched again since they passed")
        assert (serving.live(), set(serving.fleets())) == (old, {old, new})
        done = serving.up()
    assert done.code == 0, done.text
    assert [done.count(event) for event in ("boot", "seal", "traffic")] == [0, 1, 1]
    serving.ask_three_questions()


def test_what_serves_is_told_from_the_balancer(serving: Project) -> None:
    """A run that died after the move is followed by one that fails: it names what serves."""
    serving.edit("app/server.txt", "two")
    serving.set_fault("after traffic: kill engine")
    assert serving.up().code != 0
    serving.unlock()
    live = serving.live()
    serving.break_app()
    serving.up().assert_failed("Verification failed", f"live is {live}")
    assert [one for one, state in serving.states().items() if state == "live"] == [live]


def test_a_fleet_that_is_in_no_state_goes(serving: Project) -> None:
    """A fleet that somebody took out of the state is deleted, though a ledger says it is gone."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    delete_from_state(serving, "InstantFleet", old)
    serving.services["web"]["keep"] = 0
    serving.write_settings()
    for _ in range(2):
        done = serving.up()
        assert done.code == 0, done.text
    assert (done.count("drain"), done.count("delete"), serving.find_left()) == (1, 1, [])
    serving.ask_three_questions()


@pytest.mark.parametrize("kind", ["InstantFleet", "Retirement"])
def test_what_serves_is_not_replaced_by_a_flag(serving: Project, kind: str) -> None:
    """`--replace` of what guards or makes the live fleet takes no server, and leaves no debt.

    The next plain `up` makes what the refused run had taken out of the state before it ended.
    """
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    with start_watching(serving.world):
        for flags in (["--replace", f"**{kind}::web-*"], []):
            done = serving.up(*flags)
            assert done.count("delete") == 0, done.text
        assert done.code == 0, done.text
        serving.ask_three_questions()
        assert len(serving.fleets()) == 2


@pytest.mark.parametrize("kind", ["Traffic", "InstantBalancer"])
@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "replaced"])
def test_what_was_unprotected_keeps_its_pointer(
    serving: Project, kind: str, *, renamed: bool
) -> None:
    """A pointer that another resource takes over in the same run is never set to nobody.

    After an `unprotect` that a destroy began with, or that the engine's own error advises.
    """
    live = serving.live()
    serving.pulumi("state", "unprotect", "--all", "--yes", "-s", "dev")
    flags = () if renamed else ("--replace", f"**{kind}::*")
    if renamed:
        rename_in_state(serving, kind, "another-name")
    with start_watching(serving.world):
        done = serving.up(*flags)
        assert done.code == 0, done.text
        assert done.changes.get("delete") or done.changes.get("delete-replaced"), done.steps
        assert serving.live() == live
    serving.ask_three_questions()
    done = serving.destroy()
    assert done.code == 0, done.text
    assert serving.fleets() == {}


@pytest.mark.parametrize(("kind", "own"), [("Traffic", "SERVICE"), ("InstantBalancer", "balancer")])
def test_the_error_for_another_name_in_the_state_says_how_to_put_it_back(
    serving: Project, kind: str, own: str
) -> None:
    """In the preview; and once an update has made the resource again, which takes the name."""
    live = serving.live()
    urn = rename_in_state(serving, kind, "another")
    for command in ("preview", "up"):
        said = serving.drive(command, "dev")
        assert said.code == 1, said.text
        assert f"The state holds the {kind} another, which this program does not" in said.text
        rename, delete = re.findall(r"`pulumi (state .*?) --stack dev`", said.text)
        assert rename == f"state rename '{urn}' {own}"
        if command == "preview":
            words = shlex.split(rename.replace("SERVICE", "web"))
            serving.pulumi(*words, "--yes", "-s", "dev")
            done = serving.up()
            assert (done.code, done.changes) == (0, {}), done.text
            rename_in_state(serving, kind, "another")
    with start_watching(serving.world):
        serving.pulumi(*shlex.split(delete), "--yes", "-s", "dev")
        done = serving.up()
        assert (done.code, done.changes, serving.live()) == (0, {}, live), done.text
    serving.ask_three_questions()


def test_a_retirement_with_another_name_in_the_state_is_made_again(serving: Project) -> None:
    """The renamed one goes, and takes no server with it; the new one guards the generation."""
    rename_in_state(serving, "Retirement", "web-deadbeef")
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("drain"), done.count("delete")) == (0, 0)
    serving.ask_three_questions()
    serving.services["web"]["keep"] = 0
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("drain"), done.count("delete")) == (1, 1)


def rename_in_state(project: Project, kind: str, name: str) -> str:
    """Give the first resource of a kind another name in the state; return its URN from then on."""
    urn = find_urn(project, f":{kind}::")
    project.pulumi("state", "rename", urn, name, "--yes", "-s", "dev")
    return f"{urn.rpartition('::')[0]}::{name}"


def find_urn(project: Project, part: str) -> str:
    """Return the first URN in the state that holds a text."""
    shown = project.pulumi("stack", "--show-urns", "-s", "dev").stdout
    return next(word for word in shown.split() if part in word)


def delete_from_state(project: Project, kind: str, generation: str = "") -> None:
    """Take a service's resource or a generation's out of the state, and what depends on it."""
    urn = find_urn(project, f":{kind}::{f'web-{generation}' if generation else 'web'}")
    project.pulumi("state", "unprotect", "--all", "--yes", "-s", "dev")
    project.pulumi("state", "delete", urn, "--yes", "--force", "--target-dependents", "-s", "dev")
