"""`./immutable verify`: the checks on one server of the checkout's image, and nothing moves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from project import Project


def drive(project: Project, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the driver in the project."""
    return subprocess.run(
        [sys.executable, "-m", "immutable_servers.driver", *words],
        cwd=project.root,
        env={**project.environment, "IMMUTABLE_PROJECT": str(project.root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_checkout_s_image_is_baked_and_checked(serving: Project) -> None:
    """A new app image is baked, one server of it is checked and goes; the live one stays."""
    live, fleets = serving.live(), serving.fleets()
    serving.edit("app/server.txt", "two")
    done = drive(serving, "verify", "web")
    assert done.returncode == 0, done.stderr
    assert "1 checks passed" in done.stdout or "1 passed" in done.stderr
    events = [event["event"] for event in serving._read_new()]
    assert events.count("bake") == 1
    assert (events.count("probe"), events.count("probe-removed")) == (1, 1)
    assert not {"boot", "traffic", "delete"} & set(events)
    assert (serving.live(), serving.fleets()) == (live, fleets)
    again = serving.up()
    assert again.code == 0, again.text
    assert again.count("bake") == 0


def test_a_failed_check_ends_with_6_and_its_name(serving: Project) -> None:
    """The failures are listed, and the server is removed all the same."""
    text = "\n\ndef test_no(host):\n    assert False, 'no such thing'\n"
    serving.edit("tests/servers/test_sample.py", text)
    done = drive(serving, "verify")
    assert done.returncode == 6, done.stderr
    assert "test_no" in done.stderr
    assert [event["event"] for event in serving._read_new()].count("probe-removed") == 1


def test_keep_leaves_the_server_open_until_an_interrupt(serving: Project, tmp_path: Path) -> None:
    """Ctrl-C ends the waiting, the server goes, and what the checks said counts."""
    told = tmp_path / "told"
    with (
        told.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "immutable_servers.driver", "verify", "--keep"],
            cwd=serving.root,
            env={**serving.environment, "IMMUTABLE_PROJECT": str(serving.root)},
            stdin=subprocess.DEVNULL,
            stderr=out,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while "open until Ctrl-C" not in told.read_text():
                assert time.monotonic() < deadline, told.read_text()
                assert process.poll() is None, told.read_text()
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(60) == 0, told.read_text()
        finally:
            process.kill()
    assert [event["event"] for event in serving._read_new()].count("probe-removed") == 1
