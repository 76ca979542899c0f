"""A stack has one place: settings or a machine that lead away from its servers, on the engine."""

import json

from harness.engine.project import Project


def name_another_place(project: Project) -> None:
    """Name another folder of the target's, an empty one."""
    (project.root.parent / "other-world").mkdir(exist_ok=True)
    text = project.stack_file.read_text()
    project.stack_file.write_text(text.replace("../world", "../other-world"))


def assert_refused(project: Project, *words: str) -> None:
    """Assert that preview and update are refused, and do nothing at either place."""
    for done in (project.preview(), project.up()):
        done.assert_failed("The servers of dev are at another place", *words)
        assert done.changes == {}, done.steps
        assert done.events == []


def test_another_place_is_refused(serving: Project) -> None:
    """In preview and update, before anything is registered; with the ways out.

    With the settings put back it goes on at once, and what does not say where may change.
    """
    live = serving.live()
    before = serving.stack_file.read_text()
    name_another_place(serving)
    assert_refused(serving, "folder ../world", "folder ../other-world", "servers of web")
    for words in (
        ("preview", "dev"),
        ("preview", "dev", "--offline"),
        ("rollback", "dev", "--why", "x"),
    ):
        done = serving.drive(*words)
        assert "at another place than this run's" in done.text, done.text
        assert "./immutable destroy dev" in done.text
        assert done.code == 2, done.text
    done = serving.drive("status", "dev")
    assert "at another place than this run's" in done.text, done.text
    assert not (serving.root.parent / "other-world" / "fleets").exists()
    serving.stack_file.write_text(before)
    done = serving.up()
    assert (done.code, done.changes, serving.live()) == (0, {}, live), done.text
    serving.code = "2"  # a setting of the target's that says nothing of a place
    serving.write_settings()
    done = serving.up()
    assert done.code == 0, done.text
    serving.ask_three_questions()


def test_another_target_is_refused(serving: Project) -> None:
    """The same folder at another target is another place; `destroy` opens the way there."""
    serving.move_to_cloud()
    assert_refused(serving, "There: instant (", "Here: instant-cloud (")
    done = serving.drive("destroy", "dev", "--yes")
    assert done.code == 0, done.text
    assert serving.fleets() == {}
    done = serving.up()
    assert done.code == 0, done.text
    assert len(serving.fleets()) == 1
    assert serving.ledger()["place"]["target"] == "instant-cloud"


def test_a_renamed_stack_goes_on_under_its_old_name(serving: Project) -> None:
    """The preview refuses `pulumi stack rename`, with the way back; what serves is shown.

    A server is never renamed, so nothing is made again beside it. `destroy` opens the other way.
    """
    live = serving.live()
    serving.pulumi("stack", "rename", "staging", "-s", "dev")
    serving.stack = "staging"
    for done in (serving.preview(), serving.up()):
        done.assert_failed("The stack staging was renamed", "pulumi stack rename dev --stack")
        assert (done.changes, done.events) == ({}, [])
    said = serving.drive("status", "staging")
    assert said.code == 0, said.text
    assert live in said.text
    assert "was renamed while it has servers" in said.text
    serving.pulumi("stack", "rename", "dev", "-s", "staging")
    serving.stack = "dev"
    done = serving.up()
    assert (done.code, done.changes, serving.live()) == (0, {}, live), done.text
    serving.pulumi("stack", "rename", "staging", "-s", "dev")
    serving.stack = "staging"
    done = serving.drive("destroy", "staging", "--yes")
    assert done.code == 0, done.text
    assert serving.fleets() == {}
    done = serving.up()
    assert done.code == 0, done.text
    serving.ask_three_questions()


def test_a_place_is_known_before_the_first_run_has_ended(project: Project) -> None:
    """A killed first run has no ledger: its state says where it has launched servers."""
    project.set_fault("after traffic: kill engine")
    assert project.up().code != 0
    project.unlock()
    before = project.stack_file.read_text()
    live = project.live()
    name_another_place(project)
    for done in (project.preview(), project.up()):
        done.assert_failed("The servers of dev are at another place", "folder ../world")
    project.stack_file.write_text(before)
    done = project.up()
    assert done.code == 0, done.text
    assert project.live() == live
    project.ask_three_questions()


def test_a_ledger_without_a_place_takes_the_one_of_the_next_run(serving: Project) -> None:
    """An earlier program's: the next update writes this place, and changes nothing else."""
    place = serving.ledger()["place"]
    assert place["target"] == "instant"
    forget_place(serving)
    assert "place" not in serving.ledger()
    done = serving.up()
    assert (done.code, done.changes) == (0, {}), done.text
    assert serving.ledger()["place"] == place


def test_a_shared_state_on_another_machine_is_refused(serving: Project) -> None:
    """It would find no server and forget those of the first machine; the error names that one.

    A machine that got another id still has its servers, and goes on.
    """
    live = serving.live()
    machine = serving.ledger()["place"]["words"]["machine"]
    host = serving.ledger()["place"]["host"]
    assert machine
    serving.edit_state(f'"host": "{host}"', '"host": "anna"')
    serving.edit_state(f'"machine": "{machine}"', '"machine": "0123456789ab"')
    fleets = serving.world / "fleets"
    fleets.rename(serving.world / "on-anna")
    fleets.mkdir()
    assert_refused(serving, "host anna, folder ../world, machine 0123456789ab", "Run it on anna")
    done = serving.drive("destroy", "dev", "--yes")
    assert done.code == 2, done.text
    assert "Run it on anna" in done.text
    fleets.rmdir()
    (serving.world / "on-anna").rename(fleets)
    done = serving.up()
    assert (done.code, done.changes, serving.live()) == (0, {}, live), done.text
    assert serving.ledger()["place"]["words"]["machine"] == machine


def forget_place(project: Project) -> None:
    """Have the ledger that an earlier program has written."""
    file = project.root.parent / "state.json"
    project.pulumi("stack", "export", "-s", "dev", "--file", str(file))
    state = json.loads(file.read_text())
    for service in state["deployment"]["resources"][0]["outputs"]["ledger"].values():
        del service["place"]
    file.write_text(json.dumps(state))
    project.pulumi("stack", "import", "-s", "dev", "--file", str(file))
