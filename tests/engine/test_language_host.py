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

from harness.strangers import Call, call_as_nobody, call_from_elsewhere, call_here
from immutable_servers.driver.setup.pulumi import OWN_FILES, SCRIPT, find_host, find_pulumi
from immutable_servers.system.supervisor import find_descendants

WAITING_PROGRAM = """
import pathlib, time
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Waiter(ResourceProvider):
    def create(self, props):
        pathlib.Path("waits").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.05)
        return CreateResult("waiter", {})

class Waits(Resource):
    pass

Waits(Waiter(), "waiter", {})
"""
LISTENING = "0A"
"""A socket's state in /proc/net/tcp (net/tcp_states.h)."""
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
    for name, source in OWN_FILES.items():
        shutil.copy2(source, folder / name)
    shutil.copy2(Path(host.place).with_name(Path(SCRIPT).name), folder)
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


def find_port(engine: int, command: str) -> int:
    """Return where the newest plugin of that name below an engine listens."""
    pids = [
        pid
        for pid in find_descendants(engine)
        if f"/{command}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    inodes = {
        place.removeprefix("socket:[").removesuffix("]")
        for file in Path(f"/proc/{pids[-1]}/fd").iterdir()
        if (place := str(file.readlink())).startswith("socket:[")
    }
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    (port,) = {row[1][-4:] for row in rows if row[3] == LISTENING and row[9] in inodes}
    return int(port, 16)


CALLERS: dict[str, Call] = {"a caller from another address": call_from_elsewhere}
if os.geteuid() == 0:  # only root can be somebody else
    CALLERS["another user"] = call_as_nobody


@pytest.mark.core
@pytest.mark.skipif(sys.platform != "linux", reason="who listens is read from Linux's tables")
@pytest.mark.parametrize("call_as", CALLERS.values(), ids=CALLERS)
def test_nobody_else_is_served_during_a_run(
    tmp_path: Path, environment: Mapping[str, str], call_as: Call
) -> None:
    """The host and the dynamic providers refuse a stranger, also one who sends a program to run.

    The run's own user is answered, but with no interpreter from outside the project.
    """
    make_project(tmp_path, WAITING_PROGRAM)
    evil = tmp_path.parent / f"{tmp_path.name}-evil"
    (evil / "bin").mkdir(parents=True)
    (evil / "bin" / "python").symlink_to(sys.executable)
    call(tmp_path, environment, "stack", "select", "--create", "dev")
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=dict(environment), stdout=subprocess.DEVNULL
    ) as engine:
        try:
            wait_until(lambda: (tmp_path / "waits").exists() or engine.poll() is not None)
            servers = {
                method: find_port(engine.pid, name)
                for method, name in (
                    ("LanguageRuntime/GetPluginInfo", "pulumi-language-python"),
                    ("LanguageRuntime/Run", "pulumi-language-python"),
                    ("ResourceProvider/GetPluginInfo", "pulumi-resource-pulumi-python"),
                    ("ResourceProvider/Create", "pulumi-resource-pulumi-python"),
                )
            }
            said = {method: call_as(port, method, evil) for method, port in servers.items()}
            assert set(said.values()) == {"PERMISSION_DENIED"}, said
            own = {
                method: call_here(port, method, evil)
                for method, port in servers.items()
                if method != "ResourceProvider/Create"
            }
        finally:
            (tmp_path / "go").touch()
    assert engine.returncode == 0
    assert own.pop("LanguageRuntime/Run").startswith(
        f"The virtual environment {evil.resolve()} is not"
    )
    assert set(own.values()) == {"answered"}


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
