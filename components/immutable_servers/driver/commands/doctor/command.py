"""Shows each part of the machine with the fix where it is missing, then what the target says."""

import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from immutable_servers.driver.commands.doctor.models import PartLine, Report, TargetLine
from immutable_servers.driver.commands.doctor.readiness import find_readiness
from immutable_servers.driver.commands.preview.command import STDOUT, render_json, write_data
from immutable_servers.driver.commands.walls import find_gaps
from immutable_servers.driver.engine.environment import has_own_backend, state_dir
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.project.files import list_stacks
from immutable_servers.driver.setup.debian import find_package_versions
from immutable_servers.driver.setup.go import find_go
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts, list_sdk_parts
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError, SetupError
from immutable_servers.state.backend import find_backend, normalize, shorten
from immutable_servers.system import places
from immutable_servers.targets import DEFAULT_TARGET, find_target_class

GIB = 1 << 30
NEEDED_GIB = 5
"""Disk space that images, machines and the toolchain take while they are made."""


def show_doctor(stack: Opened, *, asks: bool = False, json: str = "") -> int:
    """Print the tables; return 3 when a part is missing, or the target lacks something, else 0.

    Args:
        stack: The stack.
        asks: Ask the stack's target, too.
        json: File for the data, `-` for stdout; empty for none.

    Raises:
        SettingsError: There is no such stack, in a project that has others, or its file is wrong.
    """
    target = find_target(stack)
    parts = list_parts(target, acts=sys.platform == "linux")
    found = [(part, part.find()) for part in parts]
    machine = tuple(_list_machine(stack.root, target, found))
    rows = [(one.part, one.version, one.place, one.fix) for one in machine]
    if json != STDOUT:
        console.show_table(f"For stacks on {target}", ("part", "version", "place", "fix"), rows)
    missing = [part for part, there in found if there is None]
    if missing:
        console.say(_render_advice(missing))
    for gap in find_gaps(stack.root):
        console.say(gap)
    readiness = _ask_target(stack, target, show=json != STDOUT) if asks else ()
    if json:
        name = stack.name if asks else ""
        report = Report(stack=name, target=target, machine=machine, readiness=readiness)
        write_data(json, render_json(report))
    is_lacking = bool(missing) or any(line.status == "not ok" for line in readiness)
    return SetupError.exit_code if is_lacking else 0


def _list_machine(
    root: Path, target: str, found: Sequence[tuple[Part, Found | None]]
) -> Iterator[PartLine]:
    packages = find_package_versions([part.package for part, there in found if there])
    rows = [("python", platform.python_version(), sys.executable, "")]
    for part, there in found:
        if there:
            version = there.version or packages.get(part.package) or "found"
            rows.append((part.name, version, there.place, ""))
        else:
            rows.append((part.name, "missing", "", part.fix))
    rows += [_describe_go(), _describe_state(root), *_describe_machine(target)]
    for name, version, place, fix in rows:
        yield PartLine(part=name, version=version, place=place, fix=fix)


def _ask_target(stack: Opened, target: str, *, show: bool) -> tuple[TargetLine, ...]:
    """Ask the target, install its SDK before if that is missing, and print the answers."""
    install_missing(list_sdk_parts(target), yes=False)
    lines = tuple(
        TargetLine(status=one.status, what=one.what, found=one.found, todo=one.todo)
        for one in find_readiness(stack)
    )
    if show:
        rows = [(one.status, one.what, one.found, one.todo) for one in lines]
        title = f"For the stack {stack.name}, asked now: nothing was made"
        console.show_table(title, ("status", "what", "found", "way out"), rows)
    return lines


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
