"""Runs Packer: `init`, `validate`, `build` under one deadline, with the full output in a log."""

import json
import re
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.images.template import (
    check_template,
    explain,
    explain_target_file,
    find_variables,
    make_packer_environment,
)
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.system.supervised import DeadlineError, run_supervised

__all__ = ["PackerRun", "check_template"]

KEPT_LINES = 400
SAY_EVERY = 1.0
"""Seconds between two of Packer's lines in the progress; the log has all of them."""
INTERRUPTED = "Cleanly cancelled builds after being interrupted."
"""Packer's last line after a SIGINT or SIGTERM.

https://github.com/hashicorp/packer/blob/v1.15.0/command/build.go
"""
BUILDER = re.compile(r"^(?:==>|   ) +[a-z0-9-]+\.[a-z0-9_-]+:")
"""What Packer puts before each line of a build: an arrow or spaces, and the source's name."""


class PackerRun(Packer):
    """Packer on one staged template; it ends with our process, and so does all that it started.

    Variables are arguments. Secrets are in Packer's environment alone, and a template has to
    declare them as sensitive. Nothing else of our environment is.
    """

    def __init__(
        self, request: BakeRequest, *, packer: str = "packer", needed: Sequence[str] = ()
    ) -> None:
        """Take what to bake.

        Args:
            request: The bake.
            packer: The program.
            needed: Names of the variables that the target's tools need.
        """
        self.request = request
        self.needed = needed
        self.packer = packer
        self.ends = time.monotonic() + request.deadline
        self.environment: Mapping[str, str] = {}
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    def build(
        self,
        variables: Mapping[str, str],
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Build with these variables beside the request's own.

        `watch` is asked each second with Packer's last line; what it raises ends Packer. A template
        that declares `manifest_path` has a manifest post-processor that writes there. What lies in
        `programs` is found before all other programs. `environment` replaces variables of ours.

        Returns:
            The build's entry of the manifest post-processor; empty without `manifest_path`.

        Raises:
            ImageError: With Packer's own message, its line, and the log file.
        """
        manifest = self.request.log.with_suffix(".manifest.json")
        manifest.unlink(missing_ok=True)
        self.environment = environment
        given = [f"-var={name}={value}" for name, value in self._merge(variables, manifest).items()]
        try:
            self._run("init", [])
            self._check_secrets(given)
            self._run("validate", given)
            options = ["-color=false", "-on-error=cleanup", *given]
            self._run("build", options, say=self.request.say, watch=watch, programs=programs)
            return self._read_manifest(manifest)
        finally:
            manifest.unlink(missing_ok=True)

    def _merge(self, variables: Mapping[str, str], manifest: Path) -> dict[str, str]:
        """Return all variables; the common ones only where the template declares them."""
        request = self.request
        common = {
            "image": request.image,
            "version": request.version,
            "lineage": json.dumps(request.lineage, sort_keys=True),
            "inputs": str(request.inputs),
            "manifest_path": str(manifest),
        }
        declared = find_variables(request.template)
        used = {name: value for name, value in common.items() if name in declared}
        return {**used, **request.variables, **variables}

    def _check_secrets(self, given: Sequence[str]) -> None:
        """Refuse a secret that Packer would print, or that the template does not take."""
        if not self.request.secrets:
            return
        self._run("inspect", given)
        for name in self.request.secrets:
            shown = next((line for line in self.lines if line.startswith(f"var.{name}: ")), None)
            if shown != f'var.{name}: "<sensitive>"':
                kind = "a variable that is not sensitive" if shown else "no variable of this name"
                raise ImageError(
                    f"The secret {name} cannot be handed to the template of {self.request.image}",
                    facts=[f"The template has {kind}."],
                    todo=f'Declare `variable "{name}" {{ sensitive = true }}` in the template.',
                )

    def _run(
        self,
        step: str,
        options: Sequence[str],
        say: Say | None = None,
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
    ) -> None:
        self.lines.clear()
        follower = _Follower(self.lines, say)

        def look() -> None:
            follower.say_waiting()
            if watch:
                watch(self._find_last_line())

        scratch = runtime_dir(data_dir()) / f"packer-{secrets.token_hex(4)}"
        env = make_packer_environment(scratch, self.request.secrets, self.needed, programs)
        env |= self.environment
        try:
            code = run_supervised(
                [self.packer, step, *options, "."],
                cwd=self.request.template,
                env={name: env[name] for name in env if self.environment.get(name) != ""},
                deadline=max(self.ends - time.monotonic(), 0),
                on_line=follower,
                log=self.request.log,
                secrets=[*self.request.secrets.values(), *self.request.masked],
                what=f"`packer {step}`",
                scratch=scratch,
                watch=look,
                less=True,
            )
        except DeadlineError as error:
            raise self._explain_deadline(step) from error
        if code:
            raise self._explain_failure(step, code)

    def _find_last_line(self) -> str:
        return next((line for line in reversed(list(self.lines)) if line.strip()), "nothing")

    def _explain_failure(self, step: str, code: int) -> ImageError:
        """Return an error that says whether Packer failed or was killed."""
        image, lines = self.request.image, explain(list(self.lines))
        how, todo = f"failed with exit code {code}", f"Correct packer/{image}/, then run"
        if code < 0:
            how = f"was ended by the signal {signal.Signals(-code).name}"
            todo = "Somebody killed it, or the kernel did, out of memory: see `dmesg`. Run"
        elif INTERRUPTED in self.lines:
            how, todo = "was interrupted", "Somebody sent it a signal. Run"
        return ImageError(
            f"`packer {step}` of image {image} {how}",
            facts=[
                *lines,
                *explain_target_file(self.request.template, lines),
                f"Log: {self.request.log}",
            ],
            todo=f"{todo} the same command again.",
        )

    def _explain_deadline(self, step: str) -> ImageError:
        last = self._find_last_line()
        return ImageError(
            f"The bake of image {self.request.image} passed its deadline of "
            f"{self.request.deadline:.0f} s while waiting for `packer {step}`",
            facts=[f"Packer's last line: {last}", f"Log: {self.request.log}"],
            todo="See in the log where it hangs, or set a longer deadline for the image.",
        )

    def _read_manifest(self, manifest: Path) -> Mapping[str, Any]:
        if "manifest_path" not in find_variables(self.request.template):
            return {}
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
            entry: Mapping[str, Any] = next(
                build
                for build in found["builds"]
                if build["packer_run_uuid"] == found["last_run_uuid"]
            )
        except (OSError, ValueError, KeyError, StopIteration) as error:
            raise ImageError(
                f"Packer wrote no manifest for image {self.request.image}",
                facts=[f"{type(error).__name__}: {error}", f"Log: {self.request.log}"],
                todo='Give its build a `post-processor "manifest" { output = var.manifest_path }`.',
            ) from error
        return entry


class _Follower:
    """Keeps Packer's lines, and reports some as progress: after a pause the last one."""

    def __init__(self, lines: deque[str], say: Say | None) -> None:
        self.lines = lines
        self.say = say
        self.said = 0.0
        self.waiting = ""
        self.turn = threading.Lock()

    def __call__(self, line: str) -> None:
        """Take one line."""
        self.lines.append(line)
        builder = BUILDER.match(line)  # Other lines are warnings: the log has them.
        text = line[builder.end() :].strip() if builder else ""
        if text:
            self.waiting = text
            self.say_waiting()

    def say_waiting(self) -> None:
        """Report the last line that was not reported, unless another was just now."""
        with self.turn:
            if self.say and self.waiting and time.monotonic() - self.said >= SAY_EVERY:
                self.said = time.monotonic()
                self.say(self.waiting)
                self.waiting = ""
