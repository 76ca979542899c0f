"""How a run is stopped, killed and waited for; and what costs money is asked for first."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from engine.test_driver_verify import drive
from harness.engine.project import Project
from harness.local_stack import wait_until
from harness.stops import start_up

HANGS = """

def test_hangs() -> None:
    import time

    (PROJECT / "hangs").touch()
    time.sleep(600)
"""
WAITS = """

def test_waits() -> None:
    import time

    (PROJECT / "hangs").touch()
    while not (PROJECT / "go on").exists():
        time.sleep(0.1)
"""
ENDS_LATE = """

def test_ends_late() -> None:
    import time

    (PROJECT / "hangs").touch()
    try:
        time.sleep(600)
    finally:
        while not (PROJECT / "go on").exists():
            time.sleep(0.1)
"""


def test_one_interrupt_ends_checks_that_hang(serving: Project, tmp_path: Path) -> None:
    """The candidate stays unverified and unserved, nothing is locked, and the next run goes on.

    The checks' processes are gone when the driver is: the fixture for every test looks.
    """
    live, told = serving.live(), tmp_path / "told"
    serving.edit("app/server.txt", "two")
    serving.edit("tests/servers/test_sample.py", HANGS)
    with start_up(serving, told) as process:
        wait_until(lambda: (serving.root / "hangs").exists() or process.poll() is not None, 60)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, told.read_text()
    said = told.read_text()
    (candidate,) = set(serving.fleets()) - {live}
    assert f"verify web-{candidate}: it is not verified and serves nobody" in said
    assert "`./immutable up dev` goes on from here." in said
    assert "StoppedError" not in said
    assert serving.live() == live
    serving.put_back("tests/servers/test_sample.py")
    serving._read_new()
    again = serving.up()
    assert again.code == 0, again.text
    assert again.count("bake") == again.count("boot") == 0
    assert serving.live() == candidate
    serving.ask_three_questions()


def test_the_next_run_waits_for_what_a_killed_one_left(serving: Project, tmp_path: Path) -> None:
    """The engine of a killed driver ends its checks as after a Ctrl-C; the next run goes on."""
    live, told = serving.live(), tmp_path / "told"
    serving.edit("app/server.txt", "two")
    serving.edit("tests/servers/test_sample.py", ENDS_LATE)
    with start_up(serving, tmp_path / "killed") as process:
        wait_until(lambda: (serving.root / "hangs").exists() or process.poll() is not None, 60)
        process.kill()
    serving.put_back("tests/servers/test_sample.py")
    (candidate,) = set(serving.fleets()) - {live}
    serving._read_new()
    waits = "its engine still ends what was under way"
    with start_up(serving, told) as process:
        wait_until(
            lambda: waits in " ".join(told.read_text().split()) or process.poll() is not None, 60
        )
        (serving.root / "go on").touch()
        assert process.wait(60) == 0, told.read_text()
    assert not [one for one in serving._read_new() if one["event"] in ("bake", "boot")]
    assert serving.live() == candidate
    serving.ask_three_questions()


def test_a_run_waits_for_another_s_as_long_as_asked(serving: Project, tmp_path: Path) -> None:
    """Without `--wait` it is refused at once; with it the run follows when the other is over."""
    serving.edit("app/server.txt", "two")
    serving.edit("tests/servers/test_sample.py", WAITS)
    with start_up(serving, tmp_path / "first") as first:
        wait_until(lambda: (serving.root / "hangs").exists() or first.poll() is not None, 60)
        for words, said in (((), "that process still runs"), (("--wait", "1s"), "up to 1s")):
            refused = serving.drive("up", "dev", *words)
            assert refused.code == 10, refused.text
            assert said in refused.text
            assert "have `--wait 10m` do so" in " ".join(refused.text.split())
        told = tmp_path / "second"
        with start_up(serving, told, "--wait", "10m") as second:
            wait_until(
                lambda: "waiting up to 10m" in told.read_text() or second.poll() is not None, 60
            )
            (serving.root / "go on").touch()
            assert (first.wait(60), second.wait(60)) == (0, 0), told.read_text()
    assert serving.drive("destroy", "dev", "--yes", "--wait", "5").code == 2
    serving.ask_three_questions()


def test_a_target_that_costs_money_is_asked_for(project: Project) -> None:
    """Without a terminal and `--yes` nothing is done, and the words to type are named."""
    project.move_to_cloud()
    for words in (("up",), ("verify",), ("shell", "app")):
        refused = drive(project, *words)
        assert refused.returncode == 2, refused.stderr
        assert "costs money" in refused.stderr
        assert f"./immutable {' '.join(words)} " in refused.stderr
        assert refused.stderr.rstrip().endswith("--yes")
    assert ask_in_a_terminal(project, b"no\n", "up") == 2
    assert project.fleets() == {}
    assert ask_in_a_terminal(project, b"y\n", "up") == 0
    assert project.live()
    serving = project.live()
    assert drive(project, "replace", "dev", "web").returncode == 2
    assert project.live() == serving
    assert drive(project, "replace", "dev", "web", "--yes").returncode == 0
    assert project.live() != serving


def ask_in_a_terminal(project: Project, answer: bytes, *words: str) -> int:
    """Run the driver in a terminal of its own, with an answer typed; return the exit code."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "immutable_servers.driver", *words],
        cwd=project.root,
        env={**project.environment, "IMMUTABLE_PROJECT": str(project.root), "TERM": "dumb"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, answer)
        try:
            while os.read(ours, 4096):
                pass
        except OSError:  # how a terminal ends that nobody holds any more
            pass
        code = process.wait(120)
    os.close(ours)
    return code
