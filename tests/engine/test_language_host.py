"""Our Python language host under the real engine."""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from immutable_servers.driver.setup.pulumi import HOST, HOST_SOURCE, SCRIPTS, find_host, find_pulumi

HANGING_PROGRAM = """
import os, pathlib, time
beside = pathlib.Path("pids.part")
beside.write_text(f"{os.getpid()} {os.getppid()}")
beside.rename("pids")
time.sleep(60)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Our host, the scripts and the CLI in one folder, and a state of the test's own."""
    pulumi, host = find_pulumi(), find_host()
    if pulumi is None or host is None:
        pytest.fail("pulumi is missing: ./immutable doctor")
    folder = tmp_path / "bin"
    folder.mkdir()
    try:
        os.link(pulumi.place, folder / "pulumi")
    except OSError:
        shutil.copy2(pulumi.place, folder / "pulumi")
    shutil.copy2(HOST_SOURCE, folder / HOST)
    for script in SCRIPTS:
        shutil.copy2(Path(host.place).with_name(Path(script).name), folder)
    (tmp_path / "state").mkdir()
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    path = os.pathsep.join((str(folder), str(Path(sys.prefix, "bin")), os.environ["PATH"]))
    return {
        **ours,
        "PATH": path,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def run(
    tmp_path: Path, environment: Mapping[str, str], program: str
) -> "subprocess.CompletedProcess[str]":
    """Run `pulumi up` on a program."""
    make_project(tmp_path, program)
    call(tmp_path, environment, "stack", "select", "--create", "dev")
    return call(tmp_path, environment, "up", "--yes", "--skip-preview")


def make_project(tmp_path: Path, program: str) -> None:
    """Write a project with this program."""
    (tmp_path / "Pulumi.yaml").write_text("name: hosted\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(program)


def call(
    tmp_path: Path, environment: Mapping[str, str], *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run one command of the CLI."""
    return subprocess.run(
        ["pulumi", *words, "--non-interactive"],
        cwd=tmp_path,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.core
def test_a_program_runs_with_its_configuration(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    """Configuration, stack and project arrive; the CLI has nothing to warn of."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  hosted:word: hello\n")
    program = """
import pulumi
words = [pulumi.get_project(), pulumi.get_stack(), pulumi.Config().require("word")]
pulumi.export("words", "-".join(words))
"""
    done = run(tmp_path, environment, program)
    assert done.returncode == 0, done.stderr
    assert "hosted-dev-hello" in done.stdout
    assert "warning" not in done.stdout + done.stderr


def test_an_error_that_was_shown_is_not_shown_again(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    """An exception bails: its text once, and no word of an exit code."""
    done = run(tmp_path, environment, 'raise ValueError("no such thing")\n')
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.count("ValueError: no such thing") == 1
    assert "exit code" not in said


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of a process's end")
def test_the_host_and_its_program_end_with_a_killed_engine(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    """After a kill -9 of the engine neither the host nor the program goes on."""
    make_project(tmp_path, HANGING_PROGRAM)
    call(tmp_path, environment, "stack", "select", "--create", "dev")
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=tmp_path,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pids = tmp_path / "pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    started = [os.pidfd_open(int(pid)) for pid in pids.read_text().split()]
    engine.kill()
    engine.wait()
    for process in started:
        ended, _, _ = select.select([process], [], [], 30)
        os.close(process)
        assert ended


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for something, at most a minute."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_program_that_ends_by_itself_is_a_failure(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    """A program that exits with a code of its own fails the run, with that code named."""
    done = run(tmp_path, environment, "import os\nos._exit(7)\n")
    assert done.returncode != 0
    assert "exit code: 7" in done.stdout + done.stderr
