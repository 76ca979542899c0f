"""Calls `pulumi` for one stack of the project."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.driver.engine.environment import (
    STATE_SECRETS,
    compute_environment,
    has_own_backend,
)
from immutable_servers.driver.engine.errors import find_error
from immutable_servers.driver.project.files import find_stack_file
from immutable_servers.errors import ImmutableError
from immutable_servers.system import places
from immutable_servers.system.files import write_whole

SALT = "encryptionsalt:"
SECRET = "secure:"  # noqa: S105 - how Pulumi marks a secret in a stack file
FLAG = "PULUMI_OPTION_"
"""What a variable begins with that stands for a flag, such as `--expect-no-changes`."""
MISSING = "no stack named"
"""The CLI's error for a stack that its backend does not hold."""


@dataclass(frozen=True)
class Stack:
    """A stack with the environment of its commands.

    Attributes:
        environment: The whole environment for child processes.
        own: Its state lies in our file backend.
        wait: Seconds to wait for another run that holds it.
        config: The text for a stack that has no file; None where it has one.
    """

    root: Path
    name: str
    environment: Mapping[str, str]
    own: bool
    wait: float = 0
    config: str | None = None

    def run(self, *words: str, config: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a short `pulumi` command on the stack; make the stack first where it is missing.

        With `config` the command reads the stack's file.
        """
        done = self._run(words, config=config)
        if done.returncode and MISSING in done.stderr:
            self.create()
            done = self._run(words, config=config)
        return done

    def read(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a short `pulumi` command that changes nothing; a missing stack is not made."""
        return self._run(words, config=False)

    def _run(self, words: Sequence[str], *, config: bool) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.render_command(words, config=config),
            cwd=self.root,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def render_command(self, words: Sequence[str], *, config: bool) -> list[str]:
        """Return the command line for `pulumi WORDS` on this stack."""
        file = ["--config-file", str(self._render_config())] if config and self._hides() else []
        return ["pulumi", *words, "--stack", self.name, "--non-interactive", *file]

    def create(self) -> None:
        """Make the stack in its backend.

        For our own backend that happens in a temporary folder: the CLI writes a salt into the
        stack's file, which would end up in a commit and is useless with another passphrase.

        Raises:
            ImmutableError: The CLI could not.
        """
        words = ["pulumi", "stack", "init", self.name, "--non-interactive", "--no-select"]
        with tempfile.TemporaryDirectory(prefix="immutable-stack-") as folder:
            if self._hides():
                shutil.copy(self.root / places.PROJECT_FILE, folder)
                shutil.copy(self._render_config(), places.stack_file(Path(folder), self.name))
            done = subprocess.run(
                words,
                cwd=folder if self._hides() else self.root,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode and "already exists" not in done.stderr:
            raise find_error(done.stderr) or ImmutableError(
                f"The stack {self.name} could not be made", facts=done.stderr.splitlines()
            )

    def _hides(self) -> bool:
        """Return whether the CLI gets a copy of the file, which then must hold no secrets."""
        return self.config is not None or (self.own and SECRET not in self._read_config())

    def _read_config(self) -> str:
        if self.config is not None:
            return self.config
        return find_stack_file(self.root, self.name).read_text()

    def _render_config(self) -> Path:
        """Write a copy of the stack's file without its salt, and return the copy's path."""
        lines = self._read_config().splitlines(keepends=True)
        copy = places.stack_file(self.root / places.PROJECT_FOLDER / "config", self.name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_whole(copy, "".join(line for line in lines if not line.startswith(SALT)))
        return copy


def load_stack(root: Path, name: str, config: str | None = None) -> Stack:
    """Return a stack with the tools that are set up now; `config` stands for a missing file.

    Raises:
        SettingsError: It has neither.
    """
    environment = {**find_inherited(), **compute_environment(root)}
    if config is None:
        find_stack_file(root, name)
    else:
        environment[STATE_SECRETS] = "true"
    return Stack(root, name, environment, has_own_backend(root), config=config)


def find_inherited() -> dict[str, str]:
    """Return our variables without Pulumi's own flags: which flags a run has is said here alone.

    https://www.pulumi.com/docs/iac/cli/environment-variables/ gives each flag such a variable.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(FLAG)}
