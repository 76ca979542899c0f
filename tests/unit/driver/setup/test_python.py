"""Python packages that one target needs."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from immutable_servers.driver.setup import (
    python,
)
from immutable_servers.driver.setup.parts import Found
from immutable_servers.errors import SetupError


def test_packages_of_a_target_are_found_by_their_versions(tmp_path: Path) -> None:
    """All at the lock's versions are there; one that is missing or another version is not."""
    lock = tmp_path / "requirements-aws.lock"
    there = f"pytest=={metadata.version('pytest')} \\\n    --hash=sha256:0\n"
    lock.write_text(there)
    assert python.find_packages(lock) == Found("", sys.prefix)
    lock.write_text(there + "no-such-package==1.0 \\\n    --hash=sha256:0\n")
    assert python.find_packages(lock) is None
    lock.write_text("pytest==0.1\n")
    assert python.find_packages(lock) is None


def test_packages_that_cannot_be_installed_are_said(tmp_path: Path) -> None:
    """The error says what pip said."""
    lock = tmp_path / "requirements-aws.lock"
    lock.write_text("no hash at all\n")
    with pytest.raises(SetupError, match=r"requirements-aws\.lock"):
        python.install_packages(lock, lambda _line: None)
