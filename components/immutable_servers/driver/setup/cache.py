"""Keeps the toolchain: one folder for each tool and version, complete or missing."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.setup.intact import is_intact, record_files
from immutable_servers.driver.setup.parts import Found
from immutable_servers.driver.setup.versions import parse_version
from immutable_servers.system import places
from immutable_servers.system.environment import make_environment
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_whole

TEMPORARY = ".making-"


def toolchain_dir() -> Path:
    """Return the folder of the toolchain, shared by all checkouts."""
    return places.cache_dir() / "toolchain"


@contextmanager
def start_folder(place: Path) -> Iterator[Path]:
    """Yield an empty folder, and rename it to `place` when the block succeeds.

    What its files are is recorded. A folder of that name whose files have changed is replaced.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=place.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if is_intact(place):  # another process made it from the same input
            return
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
        record_files(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def start_lock(say: Say) -> Iterator[None]:
    """Hold the toolchain's lock, so that two set-ups never build the same thing side by side.

    What a killed set-up left half-made is removed.
    """
    folder = toolchain_dir()
    say_so = partial(say, "another set-up is running: waiting for it")
    with hold_lock(folder / ".lock", math.inf, "the toolchain", on_wait=say_so):
        for left in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def find_own(
    command: str, arguments: Sequence[str], minimum: tuple[int, ...], beside: Sequence[str] = ()
) -> Found | None:
    """Return the machine's own tool: the first on the PATH, outside our cache, new enough.

    The folders `beside` come after the PATH's; `arguments` make the tool print its version.
    """
    ours = toolchain_dir()
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), *beside]:
        file = Path(folder or ".", command)
        if file.is_relative_to(ours) or not os.access(file, os.X_OK) or file.is_dir():
            continue
        version = _read_version(file, arguments)
        if parse_version(version) >= minimum:
            return Found(version, str(file))
    return None


def _read_version(file: Path, arguments: Sequence[str]) -> str:
    """Ask a tool for its version, once for as long as its file does not change."""
    status = file.stat()
    key = f"{file} {status.st_mtime_ns} {status.st_size}"
    memory = places.cache_dir() / "tool-versions.json"
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = _ask_version([str(file), *arguments])
        with suppress(OSError):  # Asked again the next time, when the disk is full.
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_whole(memory, json.dumps(known))
    return str(known[key])


def _ask_version(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            env=make_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    numbers = parse_version(done.stdout or done.stderr)
    return ".".join(map(str, numbers))
