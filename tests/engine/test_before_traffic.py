"""Commands that run before a generation's traffic, on the real engine and the instant target."""

from harness.engine.project import Project


def test_commands_run_once_for_a_generation_and_fail_as_a_check_does(serving: Project) -> None:
    """They gate traffic, are no input of the generation, and run for no server of an old one.

    A failure is repeated with the next run; what has passed is in the ledger and is not run again,
    neither on a fresh server for a changed check nor on the way back to a standby.
    """
    ran = serving.root.parent / "ran"
    old, service = serving.live(), serving.services["web"]
    service["before_traffic"] = [f"echo one >> {ran}", "echo no table; exit 3"]
    serving.write_settings()
    done = serving.up()
    assert (done.code, done.count("boot"), ran.exists()) == (0, 0, False), done.text
    serving.edit("app/server.txt", "two")
    done = serving.up()
    done.assert_failed("VerificationError", "before_traffic", "exit code 3", "no table")
    assert (serving.live(), done.count("traffic"), ran.read_text()) == (old, 0, "one\n")
    service["before_traffic"][1] = f"echo two >> {ran}"
    serving.write_settings()
    done = serving.up()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("bake"), done.count("traffic")) == (0, 0, 1)
    assert ran.read_text() == "one\none\ntwo\n"
    new = serving.live()
    verified = serving.ledger()["generations"][new]["verified"]
    assert verified["before_traffic"] == f"2 commands on web-{new}-0"
    serving.ask_three_questions()
    serving.edit("tests/servers/test_sample.py", "# one more promise")
    assert serving.up().count("probe") == 1
    serving.put_back("app/server.txt")
    assert serving.up().code == 0
    assert serving.live() == old
    serving.ask_three_questions()
    assert ran.read_text() == "one\none\ntwo\n"
