"""Sample projects on the real engine and the instant target, one for each test."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
import tenacity
from project import Project
from warm import start_warm

LEFT = 20
"""Seconds that processes have to end after their test."""


@pytest.fixture(autouse=True)
def _leaves_no_process(tmp_path: Path) -> Iterator[None]:
    """Fail a test after which a process of its folder still runs; a killed engine's may take a bit.

    The engine, the language host, the program and the providers all have it in their environment.
    """
    yield
    mark = f"{tmp_path}/".encode()
    try:
        tenacity.Retrying(
            retry=tenacity.retry_if_result(bool),
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(LEFT),
        )(find_processes, mark)
    except tenacity.RetryError as error:
        pytest.fail(f"still running: {error.last_attempt.result()}")


def find_processes(mark: bytes) -> list[str]:
    """Return pid and command line of the processes whose environment holds `mark`, but ours."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{folder.name} {line}")
    return found


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    """Have the sample's programs, providers and checks be forks of one warm interpreter."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder, start_warm(Path(folder)) as warm:
        Project.warm = warm
        yield
        Project.warm = None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a fresh copy of the sample, its stack made and nothing launched."""
    return Project.create(tmp_path)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the one project that every `serving` is a copy of; parallel processes share it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    place, made = shared / "first-run", shared / "first-run.made"
    with (shared / "first-run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            kept = json.loads(made.read_text())
            return Project(**{**kept, "root": Path(kept["root"])})
        shutil.rmtree(place, ignore_errors=True)
        project = Project.create(place)
        done = project.up()
        assert done.code == 0, done.text
        made.write_text(json.dumps(asdict(project), default=str))
    return project


@pytest.fixture
def serving(first_run: Project, tmp_path: Path) -> Project:
    """Return a project whose first generation serves."""
    return first_run.copy_to(tmp_path)
