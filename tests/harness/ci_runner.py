"""A runner of CI: what a step of `.github/workflows` has around it, and how its script is run."""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.checkout import ROOT, Checkout

LAUNCHER = '#!/bin/sh\nexec "{python}" -m immutable_servers.driver "$@"\n'
GH = """#!/bin/sh
echo "$@" >> "$GH_LOG"
before=
for word; do
  if [ "$before" = --input ]; then cat "$word" > "$GH_LOG.body"; fi
  before=$word
done
case "$*" in *--jq*) cat "$GH_FOUND" ;; esac
"""
"""Stands for GitHub's own program: it writes down what it was asked for."""
WORKFLOWS = ROOT / ".github" / "workflows"


@dataclass(frozen=True)
class Runner:
    """Runs steps in a project.

    Attributes:
        folder: Holds the runner's tools and files.
    """

    project: Checkout
    root: Path
    folder: Path

    @classmethod
    def create(cls, project: Checkout, folder: Path, root: Path | None = None) -> "Runner":
        """Put the launcher into the project, or into a copy at `root`, and `gh` on the PATH."""
        runner = cls(project, root or project.root, folder)
        (folder / "tools").mkdir(parents=True)
        runner.temporary.mkdir()
        for file, text in (
            (runner.root / "immutable", LAUNCHER.format(python=sys.executable)),
            (folder / "tools" / "gh", GH),
        ):
            file.write_text(text)
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        runner.found.write_text("")
        return runner

    @property
    def found(self) -> Path:
        """What `gh` finds when it is asked."""
        return self.folder / "found"

    @property
    def asked(self) -> str:
        """What `gh` was asked."""
        log = self.folder / "gh.log"
        return log.read_text() if log.exists() else ""

    @property
    def comment(self) -> str:
        """The text of the last comment."""
        body: str = json.loads((self.folder / "gh.log.body").read_text())["body"]
        return body

    @property
    def temporary(self) -> Path:
        """The folder of a job, which the runner empties before each."""
        return self.folder / "temp"

    def hand_over(self) -> None:
        """End the job: what it uploaded is what the next one downloads, which has no checkout."""
        written = self.temporary / "comment.md"
        text = written.read_text() if written.exists() else None
        shutil.rmtree(self.temporary)
        (self.temporary / "written").mkdir(parents=True)
        if text is not None:
            (self.temporary / "written" / "comment.md").write_text(text)

    @property
    def summary(self) -> Path:
        """The summary of the job."""
        return self.folder / "summary.md"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the runner and the jobs set."""
        ours = self.project.environment
        return {
            **ours,
            "PATH": f"{self.folder / 'tools'}{os.pathsep}{ours['PATH']}",
            "IMMUTABLE_PROJECT": str(self.root),
            "STACK": self.project.stack,
            "STACKS": self.project.stack,
            "BRANCH": "immutable-servers/locks",
            "NUMBER": "7",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "me/shop",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temporary),
            "COMMIT": "c0ffee",
            "GH_LOG": str(self.folder / "gh.log"),
            "GH_FOUND": str(self.found),
        }

    def run(self, file: str, job: str, name: str, *, fails: bool = False) -> str:
        """Run a step's script as it is written; return what it said, all of which is progress."""
        read = yaml.safe_load((WORKFLOWS / file).read_text())
        (step,) = [step for step in read["jobs"][job]["steps"] if step.get("name") == name]
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.project.timeout,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr
