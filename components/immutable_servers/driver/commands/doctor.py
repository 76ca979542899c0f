"""`doctor`: shows each part with version and place, and the fix where it is missing."""

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from immutable_servers.driver.engine.environment import has_own_backend, state_dir
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.project.files import list_stacks
from immutable_servers.driver.setup.debian import find_package_versions
from immutable_servers.driver.setup.go import find_go
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.setup.parts import Part
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError, SetupError
from immutable_servers.state.backend import find_backend, normalize, shorten
from immutable_servers.system import places
from immutable_servers.targets import DEFAULT_TARGET, find_target_class

GIB = 1 << 30
NEEDED_GIB = 5
"""Disk space that images, machines and the toolchain take while they are made."""


def show_doctor(stack: Opened) -> int:
    """Print the table; return 3 when a part is missing, else 0.

    Raises:
        SettingsError: There is no such stack, in a project that has others.
    """
    target = find_target(stack)
    parts = list_parts(target, acts=sys.platform == "linux")
    found = [(part, part.find()) for part in parts]
    packages = find_package_versions([part.package for part, there in found if there])
    rows = [("python", platform.python_version(), sys.executable, "")]
    for part, there in found:
        if there:
            version = there.version or packages.get(part.package) or "found"
            rows.append((part.name, version, there.place, ""))
        else:
            rows.append((part.name, "missing", "", part.fix))
    rows += [_describe_go(), _describe_state(stack.root), *_describe_machine(target)]
    console.show_table(f"For stacks on {target}", ("part", "version", "place", "fix"), rows)
    missing = [part for part, there in found if there is None]
    if missing:
        console.say(_render_advice(missing))
    return SetupError.exit_code if missing else 0


def find_target(stack: Opened) -> str:
    """Return the name of a stack's target; in a project without stacks the default one."""
    if not list_stacks(stack.root):
        return DEFAULT_TARGET
    return stack.target_name or DEFAULT_TARGET


def _render_advice(missing: Sequence[Part]) -> str:
    names = ", ".join(part.name for part in missing)
    return f"Missing: {names}. `./immutable up` installs them."


def _describe_go() -> tuple[str, str, str, str]:
    go = find_go()
    if go is None:
        return ("go", "none", "", "only for a machine that reaches no maker's site")
    return ("go", go.version, go.place, "")


def _describe_state(root: Path) -> tuple[str, str, str, str]:
    if has_own_backend(root):
        return ("state", "file backend", str(state_dir(root)), "")
    return ("state", "your own backend", shorten(normalize(find_backend(root), root)), "")


def _describe_machine(target: str) -> Sequence[tuple[str, str, str, str]]:
    """Return the lines on disk space, and those of the target itself."""
    folder = places.data_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    fix = "" if free > NEEDED_GIB else f"free {NEEDED_GIB} GiB, or set XDG_DATA_HOME"
    try:
        own = find_target_class(target).describe_machine()
    except SettingsError:  # no target: a mistake that a run reports with the file's others
        own = ()
    space = ("disk space", f"{free:.0f} GiB free", str(places.data_dir()), fix)
    return [space, *((*line, "") for line in own)]
