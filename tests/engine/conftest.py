"""Sample projects on the real engine and the instant target, one for each test."""

from pathlib import Path

import pytest
from project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a fresh copy of the sample, its stack made and nothing launched."""
    return Project.create(tmp_path)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the one project that every `serving` is a copy of."""
    project = Project.create(tmp_path_factory.mktemp("first-run"))
    done = project.up()
    assert done.code == 0, done.text
    return project


@pytest.fixture
def serving(first_run: Project, tmp_path: Path) -> Project:
    """Return a project whose first generation serves."""
    return first_run.copy_to(tmp_path)
