"""Prepares the process of one server's checks: command, environment, settings, ssh."""

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Login
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.verification.follower import EXPECTED_VARIABLE

GRACE = 5.0

PLUGIN = "immutable_servers.verification.plugin"

PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """One server's run.

    Attributes:
        folder: Private, for this run's files; removed by who made it.
        ends: On the monotonic clock.
    """

    login: Login
    checks: tuple[Path, ...]
    expected: Mapping[str, Any]
    folder: Path
    log: Path
    ends: float
    deadline: float
    secrets: tuple[str, ...]

    @property
    def junit(self) -> Path:
        """Where pytest writes the results."""
        return self.folder / f"{self.login.server}.xml"


def make_command(job: Job, scratch: Path) -> list[str]:
    """Return pytest's command, apart from all settings of the user's."""
    common = os.path.commonpath([path if path.is_dir() else path.parent for path in job.checks])
    return [
        sys.executable,
        *("-m", "pytest", "-c", str(write_settings(job)), "--rootdir", common),
        *("--confcutdir", common, "--import-mode=importlib", "--strict-markers"),
        *("-p", "testinfra.plugin", "-p", PLUGIN, "-p", "no:cacheprovider"),
        *("--tb=short", "--color=no", "-v", f"--junitxml={job.junit}"),
        *(f"--hosts={job.login.host}", f"--ssh-config={configure_ssh(job, scratch)}"),
        *map(str, job.checks),
    ]


def make_scratch() -> Path:
    """Name a folder for one run; short, since it holds the socket of a shared SSH connection."""
    return runtime_dir(data_dir()) / f"checks-{secrets.token_hex(4)}"


def configure_ssh(job: Job, scratch: Path) -> Path:
    """Write the ssh settings of one server's checks; return the file."""
    path = job.folder / f"{job.login.server}.ssh"
    write_ssh_config(path, job.login, scratch)
    return path


def write_ssh_config(path: Path, login: Login, scratch: Path) -> None:
    """Write the login's ssh settings with a socket for a shared connection.

    testinfra asks ssh for a master connection (`ControlPersist`), but its host specs have no word
    for the socket (testinfra 10.2, `backend/__init__.py`). It ends with the run's other processes.
    """
    lines = [f'ControlPath "{scratch}/ssh"']
    lines += [f'Include "{login.ssh_config}"'] if login.ssh_config else []
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_settings(job: Job) -> Path:
    """Write pytest's settings: modules beside the checks can be imported by them."""
    folders = sorted({str(path if path.is_dir() else path.parent) for path in job.checks})
    path = job.folder / f"{job.login.server}.ini"
    path.write_text(f"[pytest]\npythonpath = {shlex.join(folders)}\n", encoding="utf-8")
    return path


def make_environment(job: Job) -> dict[str, str]:
    """Return a clean environment with pytest's plugins as they should be, and the expectations."""
    expected = job.folder / f"{job.login.server}.json"
    expected.write_text(json.dumps(job.expected), encoding="utf-8")
    return {
        **make_clean_environment(),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        EXPECTED_VARIABLE: str(expected),
    }


def make_clean_environment() -> dict[str, str]:
    """Return our environment without Pulumi's and pytest's, which finds this package."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "PYTEST_"))
    }
    paths = [str(PACKAGE_ROOT), *filter(None, [ours.get("PYTHONPATH")])]
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(paths)}
