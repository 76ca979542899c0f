"""Prepares the pytest process of one server's checks: command, environment, settings, login.

Nothing of the user's own pytest takes part in it: no settings, no plugins, no cache.
"""

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Login
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.verification.results import EXPECTED_VARIABLE, OPTION

GRACE = 5.0
"""Seconds that a process of checks may clean up in once it was asked to end."""

PLUGIN = "immutable_servers.verification.plugin"

PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """The checks of one server.

    Attributes:
        folder: Private folder for this run's files; `run_checks` makes and removes it.
        ends: When the deadline is over, on the monotonic clock.
        deadline: Seconds that all servers' checks may take together.
        secrets: Values that are replaced by `[secret]`.
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
    def results(self) -> Path:
        """The file for the results, named by an option: children would inherit a variable."""
        return self._get_path("jsonl")

    def make_command(self, scratch: Path) -> list[str]:
        """Write pytest's settings and ssh's, and return the command that uses them."""
        ssh_config = self._get_path("ssh")
        write_ssh_config(ssh_config, self.login, scratch)
        folders = [path if path.is_dir() else path.parent for path in self.checks]
        common = os.path.commonpath(folders)
        return [
            sys.executable,
            *("-m", "pytest", "-c", str(self._write_settings(folders)), "--rootdir", common),
            *("--confcutdir", common, "--import-mode=importlib", "--strict-markers"),
            *("-p", "testinfra.plugin", "-p", PLUGIN, "-p", "no:cacheprovider"),
            *("--tb=short", "--color=no", "-v", f"{OPTION}={self.results}"),
            *(f"--hosts={self.login.host}", f"--ssh-config={ssh_config}"),
            *map(str, self.checks),
        ]

    def make_environment(self) -> dict[str, str]:
        """Write what is expected of the server, and return the environment that names it."""
        expected = self._get_path("json")
        expected.write_text(json.dumps(self.expected), encoding="utf-8")
        return {
            **make_clean_environment(),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            EXPECTED_VARIABLE: str(expected),
        }

    def _write_settings(self, folders: Sequence[Path]) -> Path:
        """Write settings with which a check can import the modules beside it."""
        path = self._get_path("ini")
        found = shlex.join(sorted({str(folder) for folder in folders}))
        path.write_text(f"[pytest]\npythonpath = {found}\n", encoding="utf-8")
        return path

    def _get_path(self, kind: str) -> Path:
        return self.folder / f"{self.login.server}.{kind}"


def make_scratch() -> Path:
    """Return a new folder name for one run, short enough for the socket of an SSH connection."""
    return runtime_dir(data_dir()) / f"checks-{secrets.token_hex(4)}"


def write_ssh_config(path: Path, login: Login, scratch: Path) -> None:
    """Write the login's ssh settings with a socket for a shared connection.

    testinfra asks ssh for a master connection (`ControlPersist`), but its host specs have no word
    for the socket (testinfra 10.2, `backend/__init__.py`). It ends with the run's other processes.
    """
    lines = [f'ControlPath "{scratch}/ssh"']
    lines += [f'Include "{login.ssh_config}"'] if login.ssh_config else []
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def make_clean_environment() -> dict[str, str]:
    """Return our environment without Pulumi's and pytest's variables, with this package's path."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "PYTEST_"))
    }
    paths = [str(PACKAGE_ROOT), *filter(None, [ours.get("PYTHONPATH")])]
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(paths)}
