"""Sample projects on the real engine and the instant target, one for each test."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.engine.project import Project
from harness.left_processes import leaves_no_process  # noqa: F401 - a fixture that each test uses
from harness.warm import start_warm


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
