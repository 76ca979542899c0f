"""Candidates that do not make it, and a fleet that grows: what served goes on serving."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest

from harness.local_stack import LocalStack, answers, wait_until
from immutable_servers.targets.local import qmp
from immutable_servers.targets.local.machine_parts import read_launch
from immutable_servers.targets.local.machines import find_qmp
from immutable_servers.targets.shared.ssh import USED_COMMAND

LOOPBACK = "127.0.0.1"
NO_SSHD = "ConditionPathExists=/run/immutable/open"
"""What systemd says on the console when sshd is not to start."""


def test_a_candidate_that_breaks_a_promise_gets_no_traffic(serving: LocalStack) -> None:
    """The run says what failed where and how to log in; with the check corrected it passes.

    Clients that ask all the time are answered by the live generation alone, until a fresh round of
    the candidate, which somebody logged in to, has passed. Once sealed it is sealed for good: a
    reboot within the half hour of its login window lets nobody in.
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
        logged_in_to = log_in(failed.text)
        remembered = ask_who_logged_in(serving, candidate)
        serving.change("servers/test_sample.py", '== "kept"', '== "broken"')
        done = serving.update()
    server = f"web-{candidate}-0"
    failed.assert_failed("test_the_promise_is_kept", server, "assert 'broken' == 'kept'")
    assert f"{server}: console log: {serving.generation_folder(candidate)}/" in failed.text
    assert logged_in_to == server
    assert remembered.count("\n") == 1
    assert remembered.startswith(time.strftime("%Y-%m-%dT", time.gmtime()))
    assert f"booting web-{serving.live()}-0" in done.text
    assert not serving.find_machine_processes(candidate)
    states = serving.states()
    assert serving.live() not in before.keys() | {candidate}
    assert (states[live], states[candidate]) == ("standby", "retired")
    answered = sum((client.answers for client in clients), Counter())
    assert set(answered) <= {live, serving.live()}
    serving.assert_sealed(serving.live())
    assert_sealed_after_a_reboot(serving, serving.live())


def assert_sealed_after_a_reboot(stack: LocalStack, generation: str) -> None:
    """Reset a server, whose launch data has key and window still, and see that sshd stays away."""
    folder = stack.generation_folder(generation) / "servers" / "0"
    handed = read_launch(folder)
    assert handed["login_key"]
    assert handed["window_ends"] > time.time()
    console = folder / "console.log"
    began = console.read_text(errors="replace").count(NO_SSHD)
    with reach_sockets(stack):
        qmp._execute(find_qmp(folder), "system_reset", {})
    wait_until(lambda: console.read_text(errors="replace").count(NO_SSHD) > began)
    wait_until(lambda: answers(stack.port))
    stack.assert_sealed(generation)


@contextmanager
def reach_sockets(stack: LocalStack) -> Iterator[None]:
    """Look for sockets where the stack has them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.world.environment.items():
            patch.setenv(name, value)
        yield


def log_in(text: str) -> str:
    """Log in to the failed server as the run said, and return whom the server takes itself for."""
    (command,) = set(re.findall(r"log in until \d\d:\d\d UTC: (ssh .+)", text))
    words = [*shlex.split(command), "cat /run/immutable/launch.json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    server: str = json.loads(done.stdout)["server"]
    return server


def ask_who_logged_in(stack: LocalStack, generation: str) -> str:
    """Return what a server says, by the verifier's login, of those who used the printed one."""
    config = stack.generation_folder(generation) / "ssh_config"
    command = ["ssh", "-F", str(config), f"web-{generation}-0", USED_COMMAND]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


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
