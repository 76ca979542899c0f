"""`./immutable verify`: the checks on one server of the checkout's image, and nothing moves."""

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from harness.engine.project import Project
from harness.local_stack import wait_until


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
    assert "1 check failed on " in done.stdout
    assert done.stdout.count("no such thing") == 1
    assert "does not pass the checks of web.\n  Report: " in done.stderr
    assert "no such thing" not in done.stderr
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
            wait_until(lambda: "open until Ctrl-C" in told.read_text() or process.poll(), 60)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(60) == 0, told.read_text()
        finally:
            process.kill()
    assert [event["event"] for event in serving._read_new()].count("probe-removed") == 1


def test_a_shell_is_a_login_to_a_server_that_goes(serving: Project) -> None:
    """It is the checkout's image or the version named; its exit code is the command's own."""
    version = serving.ledger()["generations"][serving.live()]["version"]
    done = drive(serving, "shell", "app", "--", "sh", "-c", "echo said; exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "said\n"
    named = drive(serving, "shell", f"app@{version[:4]}", "dev", "--", "echo a | tr a b")
    assert (named.returncode, named.stdout) == (0, "b\n"), named.stderr
    events = [event["event"] for event in serving._read_new()]
    assert (events.count("probe"), events.count("probe-removed")) == (2, 2)
    unknown = drive(serving, "shell", "app@zz", "--", "true")
    assert unknown.returncode == 2
    assert version in unknown.stderr
    strange = drive(serving, "shell", "bas", "--", "true")
    assert strange.returncode == 2
    assert "Did you mean base?" in strange.stderr


def test_a_shell_in_an_image_that_no_service_runs(serving: Project) -> None:
    """The base, and an image between it and the application, can be looked into while written."""
    done = drive(serving, "shell", "base", "--", "echo said")
    assert (done.returncode, done.stdout) == (0, "said\n"), done.stderr
    events = [event["event"] for event in serving._read_new()]
    assert events.count("probe") == events.count("probe-removed") == 1


def test_a_shell_that_is_ended_removes_its_server(serving: Project, tmp_path: Path) -> None:
    """After a SIGTERM, as from a closed terminal, nothing is left, and the exit code says why."""
    line = f"touch {tmp_path}/in; exec sleep 600"
    with subprocess.Popen(
        [sys.executable, "-m", "immutable_servers.driver", "shell", "app", "--", line],
        cwd=serving.root,
        env={**serving.environment, "IMMUTABLE_PROJECT": str(serving.root)},
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: (tmp_path / "in").exists() or process.poll() is not None, 60)
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert [event["event"] for event in serving._read_new()].count("probe-removed") == 1


def test_a_terminal_has_rows_as_in_an_update(serving: Project) -> None:
    """Bake, launch and checks each have a row with its time; what ended is a line that stays."""
    serving.edit("app/server.txt", "two")
    serving.edit(
        "tests/servers/test_sample.py", "\n\ndef test_slow():\n    import time; time.sleep(1)\n"
    )
    shown = run_in_terminal(serving, "verify")
    assert re.search(r"verify web  \d s", shown), shown
    for what in ("bake app", "probe", "verify"):
        assert re.search(rf"  0:\d\d {what} took \d+ s", shown), shown
    assert re.search(r"\d checks passed on 1 server", shown), shown
    assert "probe: removing it" in shown


def run_in_terminal(project: Project, *words: str) -> str:
    """Run the driver in a terminal of its own, and return what that was sent, without escapes."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "immutable_servers.driver", *words],
        cwd=project.root,
        env={
            **{name: value for name, value in project.environment.items() if name != "CI"},
            "IMMUTABLE_PROJECT": str(project.root),
            "TERM": "xterm",
            "COLUMNS": "120",
        },
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        sent = b""
        with suppress(OSError):  # Linux' word for a terminal that nobody holds any more
            while piece := os.read(ours, 65536):
                sent += piece
    os.close(ours)
    assert process.returncode == 0, sent
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode()).replace("\r", "")
