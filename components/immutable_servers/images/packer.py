"""Runs Packer: `init`, `validate`, `build` under one deadline, with the full output in a log."""

import json
import os
import re
import secrets
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.errors import ImageError, SetupError
from immutable_servers.places import data_dir, runtime_dir
from immutable_servers.supervised import DeadlineError, run_supervised
from immutable_servers.targets.contract import BakeRequest, Packer, Say

KEPT_LINES = 400
SHOWN_LINES = 15
SAY_EVERY = 1.0
"""At most one of Packer's lines in this many seconds is progress; the log has all."""
CHECK_SECONDS = 60.0


class PackerRun(Packer):
    """Packer on one staged template, ended with all it started when we are.

    Non-secret variables are arguments. Secrets are in Packer's environment alone, and a template has to
    declare them as sensitive.
    """

    def __init__(self, request: BakeRequest, *, packer: str = "packer") -> None:
        self.request = request
        self.packer = packer
        self.ends = time.monotonic() + request.deadline
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    def build(self, variables: Mapping[str, str]) -> Mapping[str, Any]:
        """Build with these variables beside the request's own.

        A template that declares `manifest_path` has a manifest post-processor that writes there.

        Returns:
            The build's entry of the manifest post-processor; empty without `manifest_path`.

        Raises:
            ImageError: With Packer's own message, its line, and the log file.
        """
        manifest = self.request.log.with_suffix(".manifest.json")
        manifest.unlink(missing_ok=True)
        given = [f"-var={name}={value}" for name, value in self._merge(variables, manifest).items()]
        try:
            self._run("init", [])
            self._check_secrets(given)
            self._run("validate", given)
            self._run("build", ["-color=false", "-on-error=cleanup", *given], say=self.request.say)
            return self._read_manifest(manifest)
        finally:
            manifest.unlink(missing_ok=True)

    def _merge(self, variables: Mapping[str, str], manifest: Path) -> dict[str, str]:
        """Return all variables; of those that every bake has, the ones that are declared."""
        request = self.request
        common = {
            "image": request.image,
            "version": request.version,
            "lineage": json.dumps(request.lineage, sort_keys=True),
            "sources": str(request.sources),
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

    def _run(self, step: str, options: Sequence[str], say: Say | None = None) -> None:
        self.lines.clear()
        scratch = runtime_dir(data_dir()) / f"packer-{secrets.token_hex(4)}"
        try:
            code = run_supervised(
                [self.packer, step, *options, "."],
                cwd=self.request.template,
                env=make_environment(scratch, self.request.secrets),
                deadline=max(self.ends - time.monotonic(), 0),
                on_line=_Follower(self.lines, say),
                log=self.request.log,
                secrets=list(self.request.secrets.values()),
                what=f"`packer {step}`",
                scratch=scratch,
            )
        except DeadlineError as error:
            raise self._explain_deadline(step) from error
        if code:
            raise ImageError(
                f"`packer {step}` of image {self.request.image} failed with exit code {code}",
                facts=[*explain(list(self.lines)), f"Log: {self.request.log}"],
                todo=f"Correct packer/{self.request.image}/, then run the same command again.",
            )

    def _explain_deadline(self, step: str) -> ImageError:
        last = next((line for line in reversed(self.lines) if line.strip()), "nothing")
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
    """Keeps Packer's lines, and says some of them."""

    def __init__(self, lines: deque[str], say: Say | None) -> None:
        self.lines = lines
        self.say = say
        self.said = 0.0

    def __call__(self, line: str) -> None:
        """Take one line."""
        self.lines.append(line)
        text = re.sub(r"^(==>)?\s*", "", line)
        if self.say and text and time.monotonic() - self.said >= SAY_EVERY:
            self.said = time.monotonic()
            self.say(text)


def make_environment(scratch: Path, secret_values: Mapping[str, str]) -> dict[str, str]:
    """Return Packer's environment: ours without its and Pulumi's settings, all folders private.

    Plugins stay where the user has them. `TMPDIR` has to be short: sockets of plugins are in it.
    """
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PKR_VAR_", "PACKER_LOG", "PULUMI_"))
    }
    private = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "TMPDIR": str(scratch)}
    private["PACKER_CACHE_DIR"] = str(scratch / "cache")
    if "PACKER_PLUGIN_PATH" in ours:
        private["PACKER_CONFIG_DIR"] = str(scratch)
    return {
        **ours,
        **private,
        **{f"PKR_VAR_{name}": value for name, value in secret_values.items()},
    }


def explain(lines: Sequence[str]) -> list[str]:
    """Return Packer's own message out of its output: the failed builds, or the first error.

    A failed build comes with what it printed last.
    """
    failed = [line.removeprefix("--> ") for line in lines if line.startswith("--> ")]
    if failed:
        printed = [line for line in lines if line.startswith(("==> ", "    ")) and ": " in line]
        notes = ("Provisioning step had errors", "Wait completed", "Builds finished")
        last = [line for line in printed if not any(note in line for note in notes)]
        return [*failed, "It printed last:", *(f"  {line}" for line in last[-5:])]
    text = [line for line in lines if line.strip()]
    start = next((at for at, line in enumerate(text) if line.startswith("Error: ")), None)
    return text[-5:] if start is None else text[start : start + SHOWN_LINES]


def find_variables(template: Path) -> set[str]:
    """Return the names of the variables that a template's files declare."""
    files = sorted(template.glob("*.pkr.hcl"))
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    pattern = re.compile(r'^\s*variable\s+"([^"]+)"', re.MULTILINE)
    return {name for text in texts for name in pattern.findall(text)}


def check_template(
    folder: Path, variables: Mapping[str, str], *, cache: Path, packer: str = "packer"
) -> None:
    """Check what can be checked of a template without a bake, once for each version.

    Packer parses the files, and evaluates variables, sources and builds. Needs no plugin and
    no network; the arguments inside a source or a provisioner are left to the bake's `validate`.

    Args:
        folder: The template, with the files of one target only.
        variables: Non-secret variables from the settings.
        cache: A file that exists when this version was accepted before, and is made when it is now.
        packer: The program.

    Raises:
        ImageError: With Packer's own message and line.
        SetupError: There is no Packer.
    """
    if cache.exists():
        return
    given = [f"-var={name}={value}" for name, value in variables.items()]
    for step in (["validate", "-syntax-only", *given], ["inspect", *given]):
        _check(folder, [packer, *step, "."])
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.touch()


def _check(folder: Path, argv: Sequence[str]) -> None:
    env = make_environment(runtime_dir(data_dir()), {})
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(
            f"The command `{argv[0]}` could not be started",
            facts=[str(error)],
            todo="Run `./immutable doctor`: it lists what is missing, with the fix.",
        ) from error
    if done.returncode:
        raise ImageError(
            f"Packer does not accept the template of image {folder.name}",
            facts=explain((done.stdout + done.stderr).splitlines()),
            todo="Correct the file and line that Packer names.",
        )
