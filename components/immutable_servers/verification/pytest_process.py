"""Prepares the pytest process of one server's checks: command, environment, settings, login.

Nothing of the user's own pytest takes part in it: no settings, no plugins, no cache.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Login
from immutable_servers.system.environment import NETWORK, make_environment
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.verification.results import (
    EXPECTED_VARIABLE,
    OPTION,
    SECONDS_VARIABLE,
    Share,
)
from immutable_servers.verification.staging import Group, StagedChecks

GRACE = 5.0
"""Seconds that a process of checks may clean up in once it was asked to end."""

PLUGIN = "immutable_servers.verification.plugin"
BODIES = "immutable_servers.verification.bodies"

ERRORS = (
    "error::pytest.PytestCollectionWarning",
    "error:.*requested an async fixture:pytest.PytestRemovedIn9Warning",
    "error::pytest.PytestUnhandledThreadExceptionWarning",
)
"""Pytest's warnings of what did not run, or failed without failing the check."""

PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """A group of checks on one server.

    Attributes:
        checks: The copy of the checks, which is all that the run sees of the project.
        group: Those of them that this process runs.
        share: Which of the server's groups it is.
        folder: Private folder for this run's files; `run_checks` makes and removes it.
        ends: When the deadline is over, on the monotonic clock.
        deadline: Seconds that all servers' checks may take together.
        secrets: Values that are replaced by `[secret]`.
        environment: Names of variables that the checks may see beside the common ones.
    """

    login: Login
    checks: StagedChecks
    group: Group
    share: Share
    expected: Mapping[str, Any]
    folder: Path
    log: Path
    ends: float
    deadline: float
    secrets: tuple[str, ...]
    environment: tuple[str, ...]

    @property
    def results(self) -> Path:
        """The file for the results, named by an option: children would inherit a variable."""
        return self._get_path("jsonl")

    def make_command(self, scratch: Path) -> list[str]:
        """Write pytest's settings and ssh's, and return the command that uses them.

        Paths are given as seen from where it runs: pytest reads `[`, `::` and `$` in an argument
        as words of its own, and the project may lie anywhere.
        """
        ssh_config = self._get_path("ssh")
        write_ssh_config(ssh_config, self.login, scratch)
        group, common = self.group, self._relate(self.checks.common)
        return [
            # The working folder is no place of modules before the plugin adds it as the last.
            *(sys.executable, "-P", "-m", "pytest"),
            *("-c", self._relate(self._write_settings()), f"--rootdir={common}"),
            *(f"--confcutdir={common}", "--import-mode=importlib", "--strict-markers"),
            *("-p", "testinfra.plugin", "-p", PLUGIN, "-p", BODIES, "-p", "no:cacheprovider"),
            *("--tb=short", "--color=no", "-v", f"{OPTION}={self.results}"),
            *(f"--hosts={self.login.host}", f"--ssh-config={ssh_config}"),
            *(f"--ignore={self._relate(folder)}" for folder in group.apart),
            *map(self._relate, group.places),
        ]

    def make_environment(self) -> dict[str, str]:
        """Write what is expected of the server, and return the environment that names it."""
        needed = (*self.environment, *self.login.environment)
        expected = self._get_path("json")
        expected.write_text(json.dumps(self.expected), encoding="utf-8")
        return {
            **make_clean_environment(self.checks.project, *needed),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            EXPECTED_VARIABLE: str(expected),
        }

    def _write_settings(self) -> Path:
        """Write settings with which a check can import the modules beside it, before all others."""
        path, own = self._get_path("toml"), self.group.folder
        others = [other.folder for other in self.checks.make_groups() if other.folder != own]
        places = [os.path.relpath(folder, self.folder) for folder in (own, *others)]
        # What JSON writes is TOML too, which has no shell's quotes and takes any character.
        found = json.dumps(places, ensure_ascii=False).replace("\x7f", "\\u007f")
        lines = (f"pythonpath = {found}", f"filterwarnings = {json.dumps(ERRORS)}")
        text = "\n".join(["[tool.pytest.ini_options]", *lines, ""])
        path.write_text(text, encoding="utf-8")
        return path

    def _relate(self, path: Path) -> str:
        return f"./{os.path.relpath(path, self.checks.top)}"

    def _get_path(self, kind: str) -> Path:
        return self.folder / f"{self.login.server}.{self.share.at}.{kind}"


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


def make_clean_environment(project: Path, *more: str) -> dict[str, str]:
    """Return the environment of what runs for a verification: no key, token or passphrase.

    Of `PYTHONPATH` what lies in the project is left out: no digest covers it. Python's other
    variables have no part in it, even named ones: with `PYTHONOPTIMIZE` an assertion is nothing.

    Args:
        project: The project's root.
        more: Names of variables that it needs beside the common ones.
    """
    named = (name for name in more if not name.startswith("PYTHON"))
    found = make_environment(*NETWORK, SECONDS_VARIABLE, *named)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    outside = [path for path in paths if path and not _is_inside(path, project)]
    found["PYTHONPATH"] = os.pathsep.join([str(PACKAGE_ROOT), *outside])
    return {**found, "PYTHONDONTWRITEBYTECODE": "1"}


def _is_inside(path: str, project: Path) -> bool:
    return Path(path).resolve().is_relative_to(project.resolve())
