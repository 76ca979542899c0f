"""The driver on the real engine, over a project of the test's own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from immutable_servers.driver.engine.environment import state_dir
from immutable_servers.driver.setup.pulumi import find_pulumi

PROGRAM = """
import pulumi
from pulumi import dynamic
from things import Thing

config = pulumi.Config()
if config.get("mistake"):
    from immutable_servers.errors import SettingsError
    raise pulumi.RunError(str(SettingsError("A setting is wrong", todo="Mend it.")))
thing = Thing("thing", config.get("action") or "make")
services = {"web": {"address": "http://127.0.0.1:8080", "live": "3f2a9c41", "servers": 2,
                    "images": {"app": "0123456789ab"}}}
pulumi.export("services", thing.action.apply(lambda _: services))
"""
THINGS = """
import pathlib
import time

from pulumi import dynamic

from immutable_servers.errors import ImmutableError, TrafficError, VerificationError


class ThingProvider(dynamic.ResourceProvider):
    def create(self, props):
        print("thing: being made", flush=True)
        act(props["action"])
        return dynamic.CreateResult("thing", props)

    def diff(self, _id, olds, news):
        return dynamic.DiffResult(changes=olds["action"] != news["action"])

    def update(self, _id, olds, news):
        act(news["action"])
        return dynamic.UpdateResult(news)


def act(action):
    if action == "fail":
        raise VerificationError("2 checks failed", facts=["web-0: assert False"], todo="Look.")
    if action == "hang":
        pathlib.Path("started").touch()
        deadline = time.monotonic() + 60
        while not pathlib.Path("go-on").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


class Thing(dynamic.Resource, module="test", name="Thing"):
    def __init__(self, name, action):
        super().__init__(ThingProvider(), name, {"action": action})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one stack and one dynamic resource."""
    if find_pulumi() is None:
        pytest.fail("pulumi is missing: ./immutable doctor")
    root = tmp_path / "project"
    root.mkdir()
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (root / "Pulumi.yaml").write_text(f"name: driven\nruntime: {runtime}\n")
    (root / "__main__.py").write_text(PROGRAM)
    (root / "things.py").write_text(THINGS)
    set_config(root)
    return root


def set_config(root: Path, **values: str) -> None:
    """Write the stack's file."""
    lines = [f"  driven:{key}: {value}\n" for key, value in {"target": "toy", **values}.items()]
    (root / "Pulumi.dev.yaml").write_text(f"config:\n{''.join(lines)}")


def make_environment(root: Path) -> Mapping[str, str]:
    """Return the environment of a user who is not logged in."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    home = root.parent / "pulumi-home"
    return {
        **ours,
        "IMMUTABLE_PROJECT": str(root),
        "PULUMI_HOME": str(home),
        "PYTHONPATH": str(root),
        "NO_COLOR": "1",
    }


def run_driver(root: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the driver to its end, with more in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "immutable_servers.driver", *words],
        cwd=root,
        env={**make_environment(root), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_up_prints_what_serves_and_leaves_the_stack_file_alone(project: Path) -> None:
    """A first `up` makes the stack, prints address and versions, and touches no tracked file."""
    before = (project / "Pulumi.dev.yaml").read_text()
    done = run_driver(project, "up")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:8080" in done.stdout
    assert "3f2a9c41" in done.stdout
    assert "thing: being made" in done.stderr
    assert "+ Thing thing made" in done.stderr
    assert (project / "Pulumi.dev.yaml").read_text() == before
    again = run_driver(project, "up")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert "Thing" not in again.stderr


def test_a_stack_file_with_a_stranger_s_salt_works(project: Path) -> None:
    """A salt that somebody committed belongs to another passphrase, and is of no matter here."""
    with (project / "Pulumi.dev.yaml").open("a") as file:
        file.write("encryptionsalt: v1:5CrovLMstjw=:v1:d4RUu9yQT4Zz2TKr:jYlKzMgnuThlcSL8nJu+TL5g\n")
    done = run_driver(project, "up")
    assert done.returncode == 0, done.stderr


def test_an_error_of_a_provider_keeps_its_parts_and_its_exit_code(project: Path) -> None:
    """A failed verification ends with 6, its three parts, and no word of gRPC or Python."""
    set_config(project, action="fail")
    done = run_driver(project, "up")
    assert done.returncode == 6, done.stderr
    expected = "error: 2 checks failed.\n  web-0: assert False\nWhat to do: Look.\n"
    assert expected in done.stderr
    assert "Exception calling" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_in_the_settings_fails_preview_and_up_with_2(project: Path) -> None:
    """What the program refuses is shown once, in its parts."""
    set_config(project, mistake="made")
    for command in ("preview", "up"):
        done = run_driver(project, command)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("A setting is wrong.") == 1
        assert "What to do: Mend it." in done.stderr
        assert "Traceback" not in done.stderr


def test_preview_names_the_steps_and_does_none(project: Path) -> None:
    """A preview prints on stdout what would be made, and makes nothing."""
    done = run_driver(project, "preview")
    assert done.returncode == 0, done.stderr
    assert "+  Thing thing" in done.stdout
    assert "Planned: 2 made" in done.stdout
    diff = run_driver(project, "preview", "--diff")
    assert diff.returncode == 0, diff.stderr
    assert "action" in diff.stdout


def test_destroy_needs_a_yes_and_removes_everything(project: Path) -> None:
    """Without a terminal only --yes destroys; a destroyed stack can be removed, its file stays."""
    assert run_driver(project, "up").returncode == 0
    refused = run_driver(project, "destroy")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = run_driver(project, "destroy", "--yes", "--remove")
    assert done.returncode == 0, done.stderr
    assert "removed" in done.stderr
    assert (project / "Pulumi.dev.yaml").exists()
    status = run_driver(project, "status")
    assert status.returncode == 0
    assert "holds nothing" in status.stderr


def test_trouble_with_the_state_is_told_in_three_parts(project: Path) -> None:
    """A state that contradicts itself or is cut off, and a backend that is gone: 9, and a way out.

    A reader that had enough of a preview is no trouble at all.
    """
    assert run_driver(project, "up").returncode == 0
    piped = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m immutable_servers.driver preview | head -n 1"],
        cwd=project,
        env={**make_environment(project), "BASH_ENV": "", "SHELLOPTS": "pipefail"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout == "Stack dev on no target\n"
    state = state_dir(project) / ".pulumi/stacks/driven/dev.json"
    assert not list(state_dir(project).rglob("*.attrs"))  # which a killed engine leaves empty
    note = state.with_name("dev.json.attrs")
    note.touch()  # as a backend without our option has it
    done = run_driver(project, "up")
    assert (done.returncode, ".attrs" in done.stderr) == (9, True), done.stderr
    note.unlink()
    whole = json.loads(state.read_text())
    resources = whole["checkpoint"]["latest"]["resources"]
    without = [one for one in resources if not one["type"].startswith("pulumi:providers:")]
    whole["checkpoint"]["latest"]["resources"] = without
    for text, command in ((json.dumps(whole), "up"), (state.read_text()[:-99], "status")):
        state.write_text(text)
        done = run_driver(project, command)
        assert done.returncode == 9, done.stderr
        assert "pulumi state repair" in done.stderr
        assert "goroutine" not in done.stderr
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = run_driver(project, "up", PULUMI_BACKEND_URL=url, PULUMI_ACCESS_TOKEN="pul-x")  # noqa: S106 - of nothing
    assert done.returncode == 9, done.stderr
    assert "cannot be reached" in done.stderr
    assert url in done.stderr


@pytest.fixture
def hanging(project: Path) -> Iterator["subprocess.Popen[str]"]:
    """An `up` in the middle of a create."""
    set_config(project, action="hang")
    with subprocess.Popen(
        [sys.executable, "-m", "immutable_servers.driver", "up"],
        cwd=project,
        env=make_environment(project),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until_exists(project / "started")
        yield process
        (project / "go-on").touch()
        process.wait(60)


def wait_until_exists(file: Path) -> None:
    """Wait for a file, at most a minute."""
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.05)


def wait_until_empty(session: int) -> None:
    """Wait until no process is left in a session, at most a minute."""
    deadline = time.monotonic() + 60
    while left := [pid for pid in list_processes() if find_session(pid) == session]:
        assert time.monotonic() < deadline, f"{left} are left"
        time.sleep(0.05)


def list_processes() -> list[int]:
    """Return the ids of all processes."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def find_session(pid: int) -> int:
    """Return a process's session, 0 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def find_lock(root: Path) -> Path:
    """Return the engine's lock on the stack."""
    folder = state_dir(root) / ".pulumi" / "locks" / "organization" / "driven" / "dev"
    (lock,) = folder.glob("*.json")
    return lock


def test_an_interrupt_ends_cleanly_with_130(
    project: Path, hanging: "subprocess.Popen[str]"
) -> None:
    """Ctrl-C reaches the engine once: the step under way ends, nothing is left locked."""
    hanging.send_signal(signal.SIGINT)
    (project / "go-on").touch()
    _, told = hanging.communicate(timeout=60)
    assert hanging.returncode == 130, told
    assert "Stopping" in told
    assert "Traceback" not in told
    set_config(project)
    again = run_driver(project, "up")
    assert again.returncode == 0, again.stderr
    assert "was killed" not in again.stderr


def test_two_runs_at_once_are_refused_and_a_killed_one_is_not_waited_for(
    project: Path, hanging: "subprocess.Popen[str]"
) -> None:
    """The second `up` ends with 10; after a kill -9 of the first's engine the next one works."""
    second = run_driver(project, "up")
    assert second.returncode == 10, second.stderr
    assert "Another run holds this stack." in second.stderr
    engine = json.loads(find_lock(project).read_text())["pid"]
    os.kill(engine, signal.SIGKILL)  # the process of this test's own run
    (project / "go-on").touch()
    hanging.wait(60)
    assert hanging.returncode not in (0, 130)
    wait_until_empty(engine)
    set_config(project)
    third = run_driver(project, "up")
    assert third.returncode == 0, third.stderr
    assert "was killed" in third.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the engine")
def test_the_engine_ends_when_the_driver_is_killed(
    project: Path, hanging: "subprocess.Popen[str]"
) -> None:
    """A kill -9 of the driver interrupts the engine, which lets go of the stack by itself."""
    lock = find_lock(project)
    hanging.kill()
    (project / "go-on").touch()
    deadline = time.monotonic() + 60
    while lock.exists():
        assert time.monotonic() < deadline, "the engine still holds the stack"
        time.sleep(0.05)
