"""Python packages that only stacks on one target need, in the driver's virtual environment."""

import importlib
import re
import subprocess
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from immutable_servers.contract.needs import PythonPackages
from immutable_servers.contract.values import Say
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.errors import SetupError
from immutable_servers.system.environment import make_setup_environment

PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^ \\]+)", re.MULTILINE)
KEPT_LINES = 15


def find_packages(lock: Path) -> Found | None:
    """Return the environment, when it holds every package of a lock at the lock's version."""
    for name, wanted in PINNED.findall(lock.read_text(encoding="utf-8")):
        try:
            there = version(name)
        except PackageNotFoundError:
            return None
        if there != wanted:
            return None
    return Found("", sys.prefix)


def install_packages(lock: Path, say: Say) -> None:
    """Install what a lock names, with its hashes.

    Raises:
        SetupError: With pip's last words.
    """
    say(f"installing the Python packages of {lock.name}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-user", "--require-hashes", "--requirement", str(lock)]
    done = subprocess.run(
        command,
        env=make_setup_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(
            f"The Python packages of {lock.name} could not be installed",
            facts=done.stderr.strip().splitlines()[-KEPT_LINES:],
            todo="Read pip's words above, then run this again.",
        )
    importlib.invalidate_caches()
    if find_packages(lock) is None:
        raise SetupError(
            f"pip installed the Python packages of {lock.name} somewhere else",
            facts=[f"They are not in {sys.prefix}"],
            todo="Take target, prefix or root out of pip's settings (`pip config list`), then run"
            " this again.",
        )


def make_part(packages: PythonPackages) -> Part:
    """Return the part for the packages of a lock."""
    lock = CHECKOUT / f"requirements-{packages.name}.lock"
    return Part(
        name=f"python packages {packages.name}",
        size=packages.size,
        seconds=packages.seconds,
        find=partial(find_packages, lock),
        fix=f"pip install --require-hashes -r {lock.name}",
        install=partial(install_packages, lock),
    )
