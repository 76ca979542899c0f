"""design.md's table of changes: what each must do and must not do, on the real engine."""

import json
import re
import time

import pytest

from harness.clock import pass_time
from harness.engine.faults import HOUR
from harness.engine.matrix import CHECKS, lose_artifacts, lose_idle_fleets
from harness.engine.project import Project
from harness.engine.watcher import start_watching
from immutable_servers.contract.access import LOGIN_WINDOW

LATE = 5 * 60
"""Seconds of a run that nobody has moved the clock for."""


def test_first_run_bakes_launches_verifies_and_serves(project: Project) -> None:
    """A first `up` bakes both images, launches two servers, seals them and moves traffic."""
    done = project.up()
    assert done.code == 0, done.text
    assert done.count("bake") == 2
    assert done.count("boot") == 2
    order = [e["event"] for e in done.events if e["event"] in ("launch", "seal", "traffic")]
    assert order == ["launch", "seal", "traffic"]
    assert project.states() == {project.live(): "live"}
    project.ask_three_questions()


@pytest.mark.core
def test_nothing(serving: Project) -> None:
    """With nothing changed there is no diff, no bake and no boot, in a preview and an update."""
    for done in (serving.preview(), serving.up()):
        assert done.code == 0, done.text
        assert done.steps == []
        assert {event["event"] for event in done.events} <= {"catalog"}


@pytest.mark.core
def test_a_byte_of_the_source(serving: Project) -> None:
    """App image and release are replaced, the base is not; the old generation stays as standby."""
    old = serving.live()
    serving.edit("app/server.txt", "version two")
    preview = serving.preview()
    assert "create-replacement Release web" in preview.steps
    assert "create-replacement Image app" in preview.steps
    assert preview.count("bake") == 0
    done = serving.up()
    assert done.code == 0, done.text
    assert [e["image"] for e in done.events if e["event"] == "bake"] == ["app"]
    assert done.count("boot") == 2
    assert done.count("delete") == 0
    assert serving.states() == {serving.live(): "live", old: "standby"}
    serving.ask_three_questions()


def test_keep_holds_one_standby(serving: Project) -> None:
    """The third generation retires the first, after traffic moved and after it was drained."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    serving.edit("app/server.txt", "three")
    done = serving.up()
    assert done.code == 0, done.text
    order = [e["event"] for e in done.events if e["event"] in ("traffic", "drain", "delete")]
    assert order == ["traffic", "drain", "delete"]
    assert serving.states()[first] == "retired"
    assert len(serving.fleets()) == 2
    serving.ask_three_questions()


def test_keep_zero_retires_the_old_in_the_same_run(project: Project) -> None:
    """With `keep: 0` the old generation goes in the run that moved the traffic away from it."""
    project.services["web"]["keep"] = 0
    project.write_settings()
    assert project.up().code == 0
    project.edit("app/server.txt", "two")
    done = project.up()
    assert done.code == 0, done.text
    assert list(project.fleets()) == [project.live()]
    project.ask_three_questions()


def test_keep_zero_keeps_the_old_while_the_candidate_fails(project: Project) -> None:
    """With `keep: 0` a failed verification still deletes nothing, however often it is run."""
    project.services["web"]["keep"] = 0
    project.write_settings()
    assert project.up().code == 0
    old = project.live()
    project.break_app()
    for arguments in ((), (), ("--continue-on-error",)):
        done = project.up(*arguments)
        assert done.code != 0
        assert done.count("delete") == 0
        assert project.live() == old
        project.assert_serving()
    project.mend_app()
    done = project.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("traffic")) == (0, 0, 0)
    assert list(project.fleets()) == [old]
    project.ask_three_questions()


def test_a_byte_of_the_base(serving: Project) -> None:
    """Base and app are baked again, and a new generation serves."""
    serving.edit("packer/base/provision.sh", "# more")
    done = serving.up()
    assert done.code == 0, done.text
    assert [e["image"] for e in done.events if e["event"] == "bake"] == ["base", "app"]
    assert done.count("boot") == 2
    serving.ask_three_questions()


def test_the_lock_of_the_base(serving: Project) -> None:
    """A refreshed lock bakes base and app again."""
    lock = serving.root / "packer/base/upstream.lock.json"
    lock.write_text(lock.read_text().replace("sha256:one", "sha256:two"))
    done = serving.up()
    assert done.code == 0, done.text
    assert done.count("bake") == 2
    serving.ask_three_questions()


def test_upstream_moved_and_the_lock_did_not(serving: Project) -> None:
    """What is new outside changes nothing until the lock says so."""
    (serving.world / "upstream").write_text("sha256:newer")
    done = serving.up()
    assert (done.code, done.steps) == (0, [])


def test_more_servers(serving: Project) -> None:
    """The live fleet grows in place; there is no new generation, bake or traffic change."""
    live = serving.live()
    serving.services["web"]["servers"] = 3
    serving.write_settings()
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("traffic")) == (0, 1, 0)
    assert serving.live() == live
    serving.ask_three_questions(servers=3)


def test_launch_spec(serving: Project) -> None:
    """Another size or env is a new generation from the same artifact, without a bake."""
    for change in ({"env": {"GREETING": "hi"}}, {"size": "medium"}):
        old = serving.live()
        serving.services["web"].update(change)
        serving.write_settings()
        done = serving.up()
        assert done.code == 0, done.text
        assert (done.count("bake"), done.count("boot")) == (0, 2)
        assert serving.live() != old
        serving.ask_three_questions()


def test_a_check(serving: Project) -> None:
    """A changed check runs on one fresh server, which goes; there is no new generation.

    A preview says when that takes a bake, since the artifact is gone by hand.
    """
    live = serving.live()
    serving.edit(CHECKS, "# one more promise")
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("probe"), done.count("probe-removed"), done.count("boot")) == (1, 1, 0)
    assert serving.live() == live
    serving.ask_three_questions()
    lose_artifacts(serving)
    serving.edit(CHECKS, "# and one more")
    said = " ".join(serving.drive("preview", "dev").text.split())
    for words in ("because the checks changed", ": to be baked", "is gone: baked again, for the"):
        assert words in said, said


def test_a_check_that_the_live_generation_breaks(serving: Project) -> None:
    """The run fails and the live one stays; neither a reverted check nor a standby is tried."""
    live = serving.live()
    for _ in range(2):
        serving.edit(CHECKS, '    assert "two" in server.read_text()')
        done = serving.up()
        assert done.code != 0
        assert "test_app_is_not_broken" in done.text
        assert (serving.live(), done.count("boot"), done.count("delete")) == (live, 0, 0)
    serving.put_back(CHECKS)
    done = serving.up()
    assert (done.code, done.count("probe")) == (0, 0), done.text
    serving.ask_three_questions()
    serving.edit(CHECKS, '    assert "two" in server.read_text()')
    assert serving.up().code != 0
    serving.edit("app/server.txt", "two")
    done = serving.up()
    assert (done.code, done.count("probe")) == (0, 0), done.text
    assert serving.states() == {live: "standby", serving.live(): "live"}
    serving.ask_three_questions()


LOGS_IN = """
    (WORLD / "logins").mkdir(exist_ok=True)
    (WORLD / "logins" / expected["server"]).write_text("12:03")
"""


def fail(project: Project) -> str:
    """Break the application, run a failing update, and return the candidate."""
    before = {*project.fleets()}
    project.break_app()
    done = project.up()
    assert done.code != 0
    assert "log in until" in done.text
    (failed,) = {*project.fleets()} - before
    return failed


@pytest.mark.core
def test_a_failed_candidate_is_verified_again(serving: Project) -> None:
    """The same servers, when nobody was on them: no bake and no boot."""
    failed = fail(serving)
    again = serving.up()
    assert again.code != 0
    assert (again.count("bake"), again.count("boot")) == (0, 0)
    assert "test_app_is_not_broken" in again.text
    assert serving.states()[failed] == "candidate"


@pytest.mark.core
def test_a_candidate_that_somebody_logged_in_to_is_made_again(serving: Project) -> None:
    """However well it was patched: a fresh round of the broken source boots, and fails as well."""
    old, failed = serving.live(), fail(serving)
    serving.log_in(failed)
    for server in (serving.world / "fleets" / f"web-{failed}").glob("server-*"):
        server.write_text("patched by hand")
    preview = serving.preview()
    assert f"generation {failed} is not verified again (somebody used its login at 12:03)" in (
        " ".join(preview.text.split())
    )
    done = serving.up()
    assert done.code != 0
    assert (done.count("bake"), done.count("boot")) == (0, 2)
    assert "test_app_is_not_broken" in done.text
    assert serving.live() == old
    serving.assert_serving()
    serving.mend_app()
    done = serving.up()
    assert (done.code, done.count("boot")) == (0, 0), done.text
    assert list(serving.fleets()) == [old]
    serving.ask_three_questions()


@pytest.mark.core
@pytest.mark.parametrize("fix", [False, True])
def test_a_used_server_never_passes(serving: Project, *, fix: bool) -> None:
    """The server's own word is asked before any check, and the ledger keeps it.

    Somebody took the key without the printed command. No check looks at what he left; the next
    update makes a fresh round, also of a candidate that would pass by now.
    """
    old, failed = serving.live(), fail(serving)
    if fix:
        checks = serving.root / CHECKS
        checks.write_text(checks.read_text().replace("broken-{service}", "nothing"))
    serving.log_in(failed, as_printed=False)
    done = serving.up()
    assert done.code != 0
    assert (done.count("boot"), done.count("seal"), done.count("traffic")) == (0, 0, 0)
    assert f"somebody logged in to web-{failed}-0 at 12:03: such servers are not" in done.text
    assert "test_app_is_not_broken" not in done.text
    assert f"web-{failed}-0" in serving.ledger()["generations"][failed]["inspected"]
    done = serving.up()
    assert (done.code == 0, done.count("bake"), done.count("boot")) == (fix, 0, 2), done.text
    assert (serving.live() == old) is not fix
    serving.assert_serving()


def test_a_login_during_the_checks_is_found(serving: Project) -> None:
    """The servers are asked again after the last check: what it saw is not what is there now."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    serving.edit(CHECKS, LOGS_IN)
    done = serving.up()
    assert done.code != 0
    assert "somebody logged in to web-" in done.text
    assert (done.count("seal"), done.count("traffic")) == (0, 0)
    assert serving.live() == old
    serving.put_back(CHECKS)
    done = serving.up()
    assert (done.code, done.count("bake"), done.count("boot")) == (0, 0, 2), done.text
    serving.ask_three_questions()


def test_a_login_between_verification_and_seal_is_found(serving: Project) -> None:
    """The seal asks a last time; the fleet that passed gets no traffic, and a fresh round does."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    serving.set_fault("before seal: kill engine")
    assert serving.up().code != 0
    serving.unlock()
    (candidate,) = {*serving.fleets()} - {old}
    serving.log_in(candidate, as_printed=False)
    done = serving.up()
    assert done.code != 0
    assert f"web-{candidate} does not serve: somebody logged in to it" in done.text
    assert done.count("traffic") == 0
    assert serving.live() == old


def test_checks_that_change_while_a_candidate_boots(serving: Project) -> None:
    """No broken candidate passes by what the checkout has become since the plan was made."""
    live = serving.live()
    serving.break_app()
    serving.set_fault("before login: edit checks")
    done = serving.up()
    assert done.code != 0
    assert "The checks changed while the run was under way" in done.text
    assert serving.live() == live
    serving.put_back(CHECKS)
    done = serving.up()
    assert done.code != 0
    assert "test_app_is_not_broken" in done.text
    assert serving.live() == live
    serving.mend_app()
    assert serving.up().code == 0
    assert serving.live() == live
    serving.ask_three_questions()


def test_a_helper_of_the_checks(serving: Project) -> None:
    """A helper's folder that `checks` lists counts: its change is shown, and proven on a server."""
    helper = serving.root / "tests" / "lib" / "promises.py"
    helper.parent.mkdir()
    helper.write_text("BROKEN = 'broken'\n")
    serving.edit(CHECKS, "from promises import BROKEN\n\n\ndef test_helper(): assert BROKEN\n")
    done = serving.up()
    assert done.code != 0
    assert "No module named 'promises'" in done.text
    assert "list the folder of what is missing under `checks` too" in done.text
    serving.services["web"]["checks"] = ["tests/servers", "tests/lib"]
    serving.write_settings()
    done = serving.up()
    assert (done.code, done.count("probe"), done.count("boot")) == (0, 1, 0), done.text
    serving.ask_three_questions()
    helper.write_text("BROKEN = 'broken too'\n")
    said = " ".join(serving.drive("preview", "dev").text.split())
    assert "because the checks changed" in said, said


def test_the_login_window_opens_at_the_launch(project: Project) -> None:
    """Bakes of an hour take nothing of it, and the launch is recorded as when it was."""
    project.set_fault("after bake: take an hour", times=2)
    began = int(time.time())
    done = project.up()
    assert (done.code, done.count("bake")) == (0, 2), done.text
    (record,) = project.ledger()["generations"].values()
    assert record["launched_at"] >= began + 2 * HOUR
    assert record["window_ends"] == record["launched_at"] + LOGIN_WINDOW
    (spec,) = (json.loads(file.read_text()) for file in project.world.glob("fleets/*/spec.json"))
    assert spec["window_ends"] == spec["record"]["window_ends"] == record["window_ends"]
    project.ask_three_questions()


def test_what_a_killed_run_left_of_a_login_window(serving: Project) -> None:
    """Without servers the window opens at the launch that follows; servers keep their own."""
    serving.edit("app/server.txt", "two")
    serving.set_fault("before launch: kill engine")
    serving.up()
    serving.unlock()
    pass_time(serving.moved_clock, HOUR)
    serving.set_fault("after launch: kill engine")
    serving.up()
    (launched,) = serving.fleets().keys() - {serving.live()}
    window = json.loads(serving.read_spec(launched))["window_ends"]
    assert window >= time.time() + HOUR + LOGIN_WINDOW - LATE
    serving.unlock()
    pass_time(serving.moved_clock, LATE)
    assert serving.up().code == 0
    assert serving.live() == launched
    assert serving.ledger()["generations"][launched]["window_ends"] == window


def test_a_candidate_whose_window_is_over_is_made_again(serving: Project) -> None:
    """After the login window, `up` makes the failed candidate again as the next round."""
    old = serving.live()
    serving.break_app()
    assert serving.up().code != 0
    (failed,) = {*serving.fleets()} - {old}
    file = serving.world / "fleets" / f"web-{failed}" / "spec.json"
    record = serving.ledger()["generations"][failed]
    text = file.read_text()
    file.write_text(text.replace(str(record["window_ends"]), "1000"))
    _rewrite_window(serving, record["window_ends"])
    done = serving.up()
    assert done.code != 0
    assert (done.count("bake"), done.count("boot")) == (0, 2)
    assert serving.live() == old
    serving.assert_serving()


def _rewrite_window(project: Project, ends: int) -> None:
    """Let the login window be over in the state as well."""
    state = project.root.parent / "state.json"
    project.pulumi("stack", "export", "-s", "dev", "--file", str(state))
    state.write_text(state.read_text().replace(str(ends), "1000"))
    project.pulumi("stack", "import", "-s", "dev", "--file", str(state))


def test_a_stack_of_a_program_without_a_key_for_people(serving: Project) -> None:
    """What its state and its ledger lack changes nothing, and the next generation has it."""
    for name in ("inspection_key", "inspected"):
        serving.rewrite_state(f'"{name}"', f'"not-{name}"')
    serving.ask_three_questions()
    serving.edit("app/server.txt", "two")
    done = serving.up()
    assert done.code == 0, done.text
    assert serving.ledger()["generations"][serving.live()]["inspected"] == ""
    assert '"inspection_key": "ssh-ed25519' in serving.read_spec(serving.live())
    serving.ask_three_questions()


@pytest.mark.core
def test_revert_after_a_success(serving: Project) -> None:
    """Traffic goes back to the standby: one change of traffic, no bake, no boot."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    serving.put_back("app/server.txt")
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("bake"), done.count("boot"), done.count("traffic")) == (0, 0, 1)
    assert serving.live() == old
    serving.ask_three_questions()


def test_a_failed_candidate_pushes_no_standby_out(serving: Project) -> None:
    """`keep` counts verified generations: a failed candidate takes no standby's place."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    second = serving.live()
    serving.break_app()
    assert serving.up().code != 0
    serving.mend_app()
    assert serving.up().code == 0
    assert {*serving.fleets()} == {first, second}
    serving.ask_three_questions()


def test_a_delete_that_failed_half_way(serving: Project) -> None:
    """The half fleet is deleted to the end, and its source makes it again as a new round."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    serving.edit("app/server.txt", "three")
    serving.set_fault("half delete: refuse")
    assert serving.up().code != 0
    serving.assert_serving()
    serving.put_back("app/server.txt")
    done = serving.up()
    assert done.code == 0, done.text
    assert first not in serving.fleets()
    assert serving.live() != first
    assert serving.ledger()["generations"][serving.live()]["round"] == 1
    serving.ask_three_questions()


def test_one_of_two_services_fails(serving: Project) -> None:
    """The healthy service moves, the other stays, and the run fails."""
    serving.services["api"] = {**serving.services["web"], "route": {"port": 8081}}
    serving.write_settings()
    assert serving.up().code == 0
    old_web, old_api = serving.live("web"), serving.live("api")
    serving.break_app("web")
    done = serving.up()
    assert done.code != 0
    assert serving.live("web") == old_web
    assert serving.live("api") != old_api
    serving.assert_serving("web")
    serving.assert_serving("api")
    serving.mend_app("web")
    assert serving.up().code == 0
    serving.ask_three_questions("web")
    serving.ask_three_questions("api")


def test_destroy_removes_all_but_images(serving: Project) -> None:
    """Everything of the stack goes, images stay; a destroy that failed half-way goes on.

    Before the yes it says what is lost.
    """
    asked = serving.drive("destroy", "dev")
    assert asked.code == 2
    assert "  web: 2 running servers in 1 generation\n" in asked.text
    assert re.search(r"  web: nothing answers at instant://web\S+ any more\n", asked.text)
    serving.set_fault("half delete: refuse")
    assert serving.destroy().code != 0
    done = serving.destroy()
    assert done.code == 0, done.text
    assert serving.fleets() == {}
    assert len(list((serving.world / "images").glob("*.json"))) == 2
    done = serving.up()
    assert done.code == 0, done.text
    assert done.count("bake") == 0
    serving.ask_three_questions()


def test_up_after_a_half_destroy(serving: Project) -> None:
    """`up` after a destroy that failed half-way serves again with a whole generation."""
    serving.set_fault("half delete: refuse")
    assert serving.destroy().code != 0
    done = serving.up()
    assert done.code == 0, done.text
    serving.ask_three_questions()


def test_an_unhealthy_candidate_gets_no_traffic(serving: Project) -> None:
    """Servers that answer their checks but not their health check are not pointed to."""
    old = serving.live()
    serving.services["web"]["size"] = "medium"
    serving.write_settings()
    preview = serving.preview()
    candidate = next(s for s in preview.steps if "InstantFleet" in s).rpartition("-")[2]
    (serving.world / f"sick-{candidate}").touch()
    done = serving.up()
    assert done.code != 0
    assert "500" in done.text
    assert (serving.live(), done.count("delete")) == (old, 0)


@pytest.mark.parametrize("moment", ["after seal", "before traffic"])
def test_servers_lost_with_their_record_are_verified_again(serving: Project, moment: str) -> None:
    """A verdict is of the servers that it looked at: a fleet of the same id starts unverified.

    The engine was killed once they were verified and sealed, before a ledger knew of them; somebody
    deleted them. The state still holds the verdict and the seal.
    """
    old = serving.live()
    serving.edit("app/server.txt", "two")
    serving.set_fault(f"{moment}: kill engine")
    killed = serving.up()
    assert (killed.code != 0, killed.count("seal")) == (True, 1)
    serving.unlock()
    lose_idle_fleets(serving)
    assert set(serving.fleets()) == {old}
    with start_watching(serving.world):
        done = serving.up()
    assert done.code == 0, done.text
    assert [done.count(event) for event in ("boot", "seal", "traffic")] == [2, 1, 1]
    verified = [step for step in done.steps if "Verification" in step]
    assert [step.split()[0] for step in verified] == ["update"]
    assert not list((serving.world / "keys").iterdir())
    serving.ask_three_questions()


def roll_back(project: Project) -> str:
    """Roll back to the standby, and resume; return what was left."""
    left = project.live()
    for words in (("rollback", "dev", "web", "--why", "bad"), ("resume", "dev", "web")):
        done = project.drive(*words)
        assert done.code == 0, done.text
    assert project.live() != left
    done = project.drive("up", "dev")
    assert (done.code, done.count("boot")) == (0, 0), done.text
    assert "what a rollback left is held off" in " ".join(done.text.split())
    return left


def correct_env(project: Project) -> None:
    """Ask for another env."""
    project.services["web"]["env"] = {"GREETING": "right"}


def correct_size(project: Project) -> None:
    """Ask for another size."""
    project.services["web"]["size"] = "medium"


def correct_source(project: Project) -> None:
    """Commit another source."""
    project.edit("app/server.txt", "two")


@pytest.mark.core
def test_a_rollback_and_then_another_env_size_or_source(serving: Project) -> None:
    """Only the generation that was left is held off: a corrected one goes out with an `up`."""
    serving.services["web"]["env"] = {"GREETING": "typo"}
    serving.write_settings()
    assert serving.up().code == 0
    for correct in (correct_env, correct_size, correct_source):
        left = roll_back(serving)
        good = serving.live()
        correct(serving)
        serving.write_settings()
        done = serving.up()
        assert done.code == 0, done.text
        assert done.count("boot") == 2
        assert serving.live() not in (good, left)
        assert serving.ledger()["pin"] == {}
        serving.ask_three_questions()
