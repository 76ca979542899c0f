"""Candidates that do not make it, and a fleet that grows: what served goes on serving."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

from harness.local_stack import LocalStack

LOOPBACK = "127.0.0.1"


def test_a_candidate_that_breaks_a_promise_gets_no_traffic(serving: LocalStack) -> None:
    """The run says what failed where and how to log in; with the check mended it passes.

    Clients that ask all the time are answered by the live generation alone, until the candidate,
    which is not made again, has passed.
    """
    live, before = serving.live(), serving.states()
    with serving.start_clients() as clients:
        serving.set_env(PROMISE="broken")
        failed = serving.up()
        states = serving.states()
        (candidate,) = states.keys() - before.keys()
        assert (states[live], states[candidate]) == ("live", "candidate")
        answered: Counter[str] = sum((client.answers for client in clients), Counter())
        assert set(answered) == {live}
        machines = serving.find_machine_processes(candidate)
        logged_in_to = log_in(failed.text)
        serving.change("servers/test_sample.py", '== "kept"', '== "broken"')
        serving.update()
    server = f"web-{candidate}-0"
    failed.assert_failed("test_the_promise_is_kept", server, "assert 'broken' == 'kept'")
    assert f"{server}: console log: {serving.generation_folder(candidate)}/" in failed.text
    assert logged_in_to == server
    assert serving.find_machine_processes(candidate) == machines
    states = serving.states()
    assert (states[live], states[candidate]) == ("standby", "live")
    answered = sum((client.answers for client in clients), Counter())
    assert set(answered) <= {live, candidate}
    serving.assert_sealed(candidate)


def log_in(text: str) -> str:
    """Log in to the failed server as the run said, and return whom the server takes itself for."""
    (command,) = set(re.findall(r"log in until \d\d:\d\d UTC: (ssh .+)", text))
    words = [*shlex.split(command), "cat /run/immutable/launch.json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    server: str = json.loads(done.stdout)["server"]
    return server


def test_a_candidate_that_never_gets_healthy_gets_no_traffic(serving: LocalStack) -> None:
    """The run fails with what the server printed last; a revert retires it and boots nothing."""
    live = serving.live()
    machines = serving.find_machine_processes(live)
    serving.boot_deadline = 5  # no more is needed to see that it answers 500
    with serving.start_clients() as clients:
        serving.set_env(HEALTH="500")
        failed = serving.up()
    failed.assert_failed("500", "console.log", "-0 is 500")
    assert {answer for client in clients for answer in client.answers} == {live}
    serving.put_all_back()
    back = serving.update()
    assert "booting" not in back.text
    assert serving.find_machine_processes(live) == machines
    assert serving.states()[live] == "live"


def test_a_fleet_grows_in_place(serving: LocalStack) -> None:
    """A second server boots sealed and serves beside the first; no generation is made."""
    live = serving.live()
    machines = serving.find_machine_processes(live)
    serving.services["web"]["servers"] = 2
    serving.write_settings()
    done = serving.update()
    assert "baked in" not in done.text
    assert {serving.ask_version()["server"] for _ in range(20)} == {
        f"web-{live}-0",
        f"web-{live}-1",
    }
    assert set(machines) < set(serving.find_machine_processes(live))
    serving.assert_sealed(live)


def test_a_port_of_somebody_else_is_named(serving: LocalStack) -> None:
    """A balancer's port that another process has fails the run with port and process named."""
    live = serving.live()
    with create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        serving.services["web"]["route"] = {"port": port}
        serving.write_settings()
        done = serving.up()
    done.assert_failed(f"port {port} is in use", f"pid {os.getpid()}")
    assert serving.live() == live


def test_nothing_is_launched_from_a_corrupted_artifact(serving: LocalStack) -> None:
    """A flipped byte of the image's disk fails the launch by its name, and live stays."""
    version = serving.ask_version()
    folder = serving.world.data / "images" / "app" / version["images"]["app"]
    with corrupt(folder / "disk.qcow2"):
        serving.set_env(GREETING="from a corrupted image")
        done = serving.up()
        done.assert_failed(
            f"The artifact in {folder} is damaged", "disk.qcow2 is missing, or is not"
        )
        assert serving.live() == version["generation"]
    assert len(serving.find_machine_processes(version["generation"])) == 1


@contextmanager
def corrupt(file: Path) -> Iterator[None]:
    """Put a copy with one flipped byte in a file's place; machines go on with the one they have."""
    kept, bad = file.with_name("kept"), file.with_name("bad")
    shutil.copy(file, bad)
    with bad.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    file.rename(kept)
    bad.rename(file)
    try:
        yield
    finally:
        kept.rename(file)
