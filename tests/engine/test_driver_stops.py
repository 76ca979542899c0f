"""Ctrl-C once ends a phase soon and cleanly; and what costs money is asked for first."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.test_driver_verify import drive, wait_until
from harness.engine.project import Project

HANGS = """

def test_hangs() -> None:
    import time
    from pathlib import Path

    (Path(__file__).parents[2] / "hangs").touch()
    time.sleep(600)
"""


@contextmanager
def start_up(project: Project, told: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield an `up` of the driver, with a way to end it that a shell's background job has not."""
    with (
        told.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "immutable_servers.driver", "up"],
            cwd=project.root,
            env={**project.environment, "IMMUTABLE_PROJECT": str(project.root)},
            stdin=subprocess.DEVNULL,
            stderr=out,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def test_one_interrupt_ends_checks_that_hang(serving: Project, tmp_path: Path) -> None:
    """The candidate stays unverified and unserved, nothing is locked, and the next run goes on.

    The checks' processes are gone when the driver is: the fixture for every test looks.
    """
    live, told = serving.live(), tmp_path / "told"
    serving.edit("app/server.txt", "two")
    serving.edit("tests/servers/test_sample.py", HANGS)
    with start_up(serving, told) as process:
        wait_until(lambda: (serving.root / "hangs").exists() or process.poll() is not None)
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


def test_a_target_that_costs_money_is_asked_for(project: Project) -> None:
    """Without a terminal and `--yes` nothing is done, and the words to type are named."""
    for file in (project.stack_file, project.root / "packer" / "base" / "upstream.lock.json"):
        file.write_text(file.read_text().replace("instant", "instant-cloud"))
    for template in project.root.glob("packer/*/instant.pkr.hcl"):
        template.rename(template.with_name("instant-cloud.pkr.hcl"))
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
