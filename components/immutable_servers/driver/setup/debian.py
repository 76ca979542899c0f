"""Finds Debian packages by what they bring, and installs them with apt."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from immutable_servers.contract.needs import DebianPackage
from immutable_servers.contract.values import Say
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.errors import SetupError
from immutable_servers.system.environment import make_environment, make_setup_environment

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
"""Folders of haproxy and others, which a user's PATH on Debian lacks."""
UPDATE = ("apt-get", "update", "--quiet=2")
INSTALL = ("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends")


def find_command(command: str) -> Found | None:
    """Return a command of the PATH or of the system's folders."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    place = shutil.which(command, path=path)
    return Found("", place) if place else None


def find_file(file: Path) -> Found | None:
    """Return a file that a package brings."""
    return Found("", str(file)) if file.exists() else None


def find_package_versions(names: Sequence[str]) -> Mapping[str, str]:
    """Return the versions of installed packages; empty on other systems."""
    words = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", "--"]
    named = [name for name in names if name]
    if not named or not shutil.which(words[0]):
        return {}
    done = subprocess.run(
        [*words, *named], env=make_environment(), capture_output=True, text=True, check=False
    )
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: version for name, _, version in pairs if version}


def make_part(package: DebianPackage) -> Part:
    """Return the part for a package that a target needs."""
    brings = Path(package.brings)
    find = (
        partial(find_file, brings) if brings.is_absolute() else partial(find_command, f"{brings}")
    )
    return Part(
        name=package.name,
        size=package.size,
        seconds=package.seconds,
        find=find,
        fix=f"sudo apt-get install {package.name}",
        package=package.name,
    )


def install_packages(names: Sequence[str], say: Say) -> None:
    """Install packages with apt, as root or with a sudo that asks for no password.

    Raises:
        SetupError: With the one command to type, or what apt said.
    """
    command = " ".join(("sudo apt-get install --yes", *names))
    before = find_rights()
    if before is None:
        raise SetupError(
            f"Debian packages are missing: {', '.join(names)}",
            facts=["This user is not root, and sudo asks for a password, or there is no apt"],
            todo=f"Type this once, then run again: {command}",
        )
    say(f"apt: {', '.join(names)}")
    _run_apt([*before, *UPDATE], must=False, command=command)
    _run_apt([*before, *INSTALL, *names], must=True, command=command)


def find_rights() -> Sequence[str] | None:
    """Return the command prefix for apt-get; None when this user may not run it."""
    if shutil.which("apt-get") is None:
        return None
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive")
    if os.geteuid() == 0:
        return quiet
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(
        ["sudo", "-n", "true"], env=make_environment(), capture_output=True, check=False
    )
    return ("sudo", "-n", *quiet) if allowed.returncode == 0 else None


def _run_apt(words: Sequence[str], *, must: bool, command: str) -> None:
    done = subprocess.run(
        words,
        env=make_setup_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and must:
        raise SetupError(
            "apt could not install the Debian packages",
            facts=(done.stderr or done.stdout).strip().splitlines()[-15:],
            todo=f"See what apt says to: {command}",
        )
