"""A verdict comes from a run's own verification alone: neither pointer nor record makes one."""

import json
from typing import Any

from harness.engine.project import Project
from harness.engine.watcher import start_watching

SOURCE = "app/server.txt"
ONE_DIGIT = "import immutable_servers.identity.generation as ids\n\nids.DIGITS = 1\n"


def point_by_hand(project: Project, generation: str) -> None:
    """Move all traffic, as somebody who uses a cloud's console."""
    (project.world / "traffic" / "web.json").write_text(json.dumps({generation: 100}))


def find_other(project: Project, generation: str) -> str:
    """Return the only fleet beside one."""
    (other,) = {*project.fleets()} - {generation}
    return other


def test_the_pointer_launders_no_failed_candidate(serving: Project) -> None:
    """It is verified again and fails again, in every run; a fixed source gets what serves out."""
    old = serving.live()
    serving.break_app()
    assert serving.up().code != 0
    failed = find_other(serving, old)
    point_by_hand(serving, failed)
    for _ in range(2):
        done = serving.up()
        done.assert_failed("What serves was never verified", "test_app_is_not_broken")
        assert [done.count(event) for event in ("seal", "boot", "delete")] == [0, 0, 0]
        record = serving.ledger()["generations"][failed]
        assert (record["state"], record["verified"]) == ("live", {})
    serving.mend_app()
    serving.edit(SOURCE, "two")
    done = serving.up()
    assert done.code == 0, done.text
    assert failed not in serving.fleets()
    assert serving.states()[old] == "standby"
    serving.ask_three_questions()


def test_what_was_never_verified_is_made_again_beside_what_serves(serving: Project) -> None:
    """Once nobody can log in any more it cannot be verified: its next round is, and takes over."""
    old = serving.live()
    serving.break_app()
    assert serving.up().code != 0
    failed = find_other(serving, old)
    point_by_hand(serving, failed)
    assert serving.up().code != 0
    ends = serving.ledger()["generations"][failed]["window_ends"]
    serving.rewrite_state(f'"window_ends": {ends}', '"window_ends": 1')
    check = serving.root / "tests/servers/test_sample.py"
    check.write_text(check.read_text().replace('f"broken-{service}" not in', '"web" in'))
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("boot"), failed in serving.fleets()) == (2, False)
    serving.ask_three_questions()


def test_a_record_at_the_target_is_not_believed_about_itself(serving: Project) -> None:
    """A fleet that claims a verdict is verified on its own servers, not on a fresh one."""
    old, state = serving.live(), serving.root.parent / "earlier.json"
    serving.pulumi("stack", "export", "-s", "dev", "--file", str(state))
    serving.edit(SOURCE, "two")
    serving.set_fault("before login: kill engine")
    assert serving.up().code != 0
    serving.unlock()
    serving.pulumi("stack", "import", "-s", "dev", "--file", str(state))
    forged = find_other(serving, old)
    folder = serving.world / "fleets" / f"web-{forged}"
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    spec["record"] |= {"verified": {"how": "trust me"}, "state": "standby"}
    (folder / "spec.json").write_text(json.dumps(spec))
    for server in folder.glob("server-*"):
        server.write_text("broken-web, and nobody has looked")
    with start_watching(serving.world):
        done = serving.up()
    done.assert_failed("test_app_is_not_broken", f"web-{forged}-0")
    assert (done.count("probe"), done.count("seal"), done.count("traffic")) == (0, 0, 0)
    assert serving.live() == old


def test_a_verdict_is_found_in_the_state_however_late(serving: Project) -> None:
    """The run died after the move: the next one comes days later, with the same or another source.

    Nothing is made again, and what serves may stand by, since its own verification has passed.
    """
    serving.edit(SOURCE, "two")
    serving.set_fault("after traffic: kill engine")
    assert serving.up().code != 0
    serving.unlock()
    moved = serving.live()
    spec = serving.live_fleet() / "spec.json"
    ends = json.loads(spec.read_text())["window_ends"]
    spec.write_text(spec.read_text().replace(f'"window_ends": {ends}', '"window_ends": 1'))
    serving.edit(SOURCE, "three")
    done = serving.up()
    assert done.code == 0, done.text
    record = serving.ledger()["generations"][moved]
    assert (record["state"], record["verified"]["how"].split()[-1]) == ("standby", "servers")
    serving.put_back(SOURCE)
    serving.edit(SOURCE, "two")
    done = serving.up()
    assert (done.code, done.count("boot"), serving.live()) == (0, 0, moved), done.text
    serving.ask_three_questions()


def test_two_makes_with_one_id_get_two_generations(serving: Project) -> None:
    """With ids of one digit some meet: each source is launched, verified and answered all the same.

    Sixteen ids for eight generations: a run that took an id in use booted nothing, ran no check,
    and went on serving the old answer under the new name.
    """
    program = serving.root / "__main__.py"
    program.write_text(
        program.read_text().replace("import pulumi\n", f"import pulumi\n{ONE_DIGIT}")
    )
    for number in range(7):
        serving.edit(SOURCE, str(number))
        done = serving.up()
        assert (done.code, done.count("boot")) == (0, 2), done.text
        assert serving.answer() == serving.read_source()
    records = serving.ledger()["generations"].values()
    assert any(record["round"] for record in records), "no two ids met: take other sources"
    serving.ask_three_questions()
