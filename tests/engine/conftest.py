"""One sample project for each test, on the real engine and the instant target."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a fresh copy of the sample, its stack made and nothing launched."""
    return Project.create(tmp_path)


@pytest.fixture
def serving(project: Project) -> Project:
    """Return a project whose first generation serves."""
    done = project.up()
    assert done.code == 0, done.text
    return project
