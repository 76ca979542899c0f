"""A scratch copy of the project with a stack of its own; the user's stacks are left alone.

State, passphrase, port and stack name are its own. Images are the user's: they are shared by all
stacks, and a base that is there need not be baked for a measurement.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.driver.engine.environment import PASSPHRASES, compute_environment, state_dir
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.run import run_engine
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.project.files import (
    CHECKOUT,
    ROOT_VARIABLE,
    read_project_name,
    read_values,
)
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError
from immutable_servers.settings.defaults import DEFAULTS
from immutable_servers.state.backend import BACKEND, make_file_url
from immutable_servers.system import places
from immutable_servers.targets.place import Place as Where

LEFT_OUT = (places.PROJECT_FOLDER, ".git", "__pycache__", ".*_cache", "Pulumi.*.yaml")
MARK = "IMMUTABLE_BENCH"
"""In the environment of every process of a scratch run, wherever it was started from."""


@dataclass
class Scratch:
    """A stack that may be changed as measurements need it.

    Attributes:
        settings: What its file says, by key.
        service: The one service of the stack, the first of the user's.
    """

    stack: Stack
    settings: dict[str, Any]
    service: str

    def write(self, servers: int, **env: str) -> None:
        """Write the stack's file, with this number of servers and more of `env`."""
        service = self.settings["services"][self.service]
        service["servers"] = servers
        service["env"] = {**(service.get("env") or {}), **env}
        prefix = read_project_name(self.stack.root)
        settings = {**self.settings, DEFAULTS: {}}  # they are in the settings already
        config = {f"{prefix}:{key}": value for key, value in settings.items()}
        file = places.stack_file(self.stack.root, self.stack.name)
        file.write_text(json.dumps({"config": config}, ensure_ascii=False))  # JSON is YAML, quoted

    def drive(self, *words: str) -> str:
        """Run a command of the driver on the copy of the project, and return what it printed.

        Raises:
            ImmutableError: It fails.
        """
        done = subprocess.run(
            [sys.executable, "-m", "immutable_servers.driver", *words],
            cwd=self.stack.root,
            env={**self.stack.environment, ROOT_VARIABLE: str(self.stack.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ImmutableError(f"`{words[0]}` failed", facts=done.stderr.splitlines()[-5:])
        return done.stdout

    @property
    def change(self) -> str:
        """The name of the file that `change_source` adds."""
        return f"changed-by-{self.stack.name}"

    def change_source(self) -> None:
        """Add a file to the sources of the service's image, or a line to that file."""
        image = self.settings["images"][self.settings["services"][self.service]["image"]]
        folder = self.stack.root / next(iter(image.get("sources") or ()), "app")
        with (folder / self.change).open("a") as file:
            file.write(f"{self.stack.name}\n")

    def load_target(self) -> Target:
        """Return the target that the settings name."""
        name = self.settings["target"]
        scope = Scope(read_project_name(self.stack.root), self.stack.name)
        return Where(name, self.settings.get(name) or {}, scope).load()


@contextmanager
def start_scratch(root: Path, like: str) -> Iterator[Scratch]:
    """Yield a scratch stack with the settings of the stack `like`; destroy it, whatever happens."""
    values = read_values(root, like)
    name = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        copy = Path(folder, "project")
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        venv = copy / places.PROJECT_FOLDER / "venv"  # what Pulumi.yaml names
        venv.parent.mkdir()
        venv.symlink_to(sys.prefix)
        settings, service = choose_settings(values, find_free_port())
        scratch = Scratch(Stack(copy, name, make_environment(copy), own=True), settings, service)
        scratch.write(1)
        try:
            yield scratch
        finally:
            destroy(scratch)


def choose_settings(values: Mapping[str, Any], port: int) -> tuple[dict[str, Any], str]:
    """Return the settings with their first service alone, at this port, and its name.

    Raises:
        ImmutableError: There is no service.
    """
    services = values.get("services") or {}
    if not services:
        raise ImmutableError("The stack has no service to measure", todo="Name another stack.")
    name = next(iter(services))
    service = {**services[name], "route": {"port": port}}
    return {**values, "services": {name: service}}, name


def make_environment(copy: Path) -> dict[str, str]:
    """Return the environment of the scratch stack's commands, without a user's login or state."""
    state = state_dir(copy)
    state.mkdir(parents=True)
    ours = {key: value for key, value in os.environ.items() if key not in PASSPHRASES}
    return {
        **ours,
        **compute_environment(CHECKOUT),
        BACKEND: make_file_url(state),
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_CONFIG_PASSPHRASE_FILE": "",
        MARK: str(os.getpid()),
    }


def destroy(scratch: Scratch) -> None:
    """Destroy the stack, and delete the images of its changed source; others may be used by others.

    Raises:
        ImmutableError: Something of it is left.
    """
    console.say("destroying the scratch stack")
    scratch.stack.run("state", "unprotect", "--all", "--yes")
    reporter = Reporter()
    ended = run_engine(scratch.stack, ["destroy", "--yes", "--skip-preview"], reporter)
    if ended.code:
        raise ImmutableError(
            f"The scratch stack {scratch.stack.name} could not be destroyed",
            facts=[*reporter.render_errors(), *ended.output],
            todo="Look for its servers: their folder carries its name.",
        )
    catalog = scratch.load_target().images
    for artifact in catalog.list():
        if was_made_of(scratch.change, catalog.find_manifest(artifact)):
            catalog.delete(artifact)


def was_made_of(change: str, manifest: Mapping[str, Any]) -> bool:
    """Return whether an image's sources held the file `change`, which no user's checkout has."""
    return any(change in files for files in (manifest.get("sources") or {}).values())


def find_free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
