"""What CI runs: each command line is one that the driver accepts, and nothing floats."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.checkout import ROOT
from harness.command_lines import find_command_lines, parse

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GITLAB = ROOT / ".gitlab-ci.yml"
ISSUER = "token.actions.githubusercontent.com"
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")


def read(file: Path) -> dict[Any, Any]:
    """Return what a file of CI says."""
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    return found


def list_jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every job of every workflow."""
    for file in WORKFLOWS:
        for name, job in read(file)["jobs"].items():
            yield f"{file.name} {name}", job


def list_scripts() -> Iterator[str]:
    """Yield the shell scripts of all jobs."""
    for _, job in list_jobs():
        yield from (step["run"] for step in job["steps"] if "run" in step)
    for job in read(GITLAB).values():
        if isinstance(job, dict):
            for part in ("before_script", "script", "after_script"):
                yield from job.get(part, [])


def test_every_command_line_is_one_that_the_driver_accepts() -> None:
    """A renamed command or flag fails here, and not in a user's CI."""
    scripts = list(list_scripts())
    lines = [line for script in scripts for line in find_command_lines(script, {"STACK": "dev"})]
    assert len(lines) >= 7
    assert {parse(line) for line in lines} == {"preview", "up", "update"}


def test_a_wrong_flag_would_be_found() -> None:
    """The parser of this test refuses what the driver refuses."""
    with pytest.raises(typer.TyperException, match="--nope"):
        parse(["preview", "dev", "--nope"])
    with pytest.raises(typer.TyperException, match="deploy"):
        parse(["deploy"])


def test_actions_are_pinned() -> None:
    """Each action is named by its commit: a moved tag changes nothing."""
    used = [step["uses"] for _, job in list_jobs() for step in job["steps"] if "uses" in step]
    assert len(used) >= 9
    assert [name for name in used if not PINNED.match(name)] == []


def test_a_job_gets_only_the_permissions_that_it_names() -> None:
    """No workflow has rights of its own, and each job that logs in to a cloud does so by OIDC."""
    for file in WORKFLOWS:
        assert read(file)["permissions"] == {}
    for name, job in list_jobs():
        assert job["permissions"]["id-token"] == "write", name
        assert "AWS_ACCESS_KEY_ID" not in str(job), name


def test_runs_on_one_stack_wait_for_each_other() -> None:
    """Each stack has a concurrency group of its own, and no update is cancelled half-way."""
    jobs = dict(list_jobs())
    groups = {name: job["concurrency"] for name, job in jobs.items()}
    for stack in ("dev", "prod"):
        expected = {"group": f"stack-{stack}", "cancel-in-progress": False}
        assert groups[f"deploy.yml {stack}"] == expected
        assert read(GITLAB)[stack]["resource_group"] == f"stack-{stack}"
    assert "matrix.stack" in groups["preview.yml preview"]["group"]


def test_prod_comes_after_dev_and_an_approval() -> None:
    """Main goes to dev first; prod waits for dev, and for whom its environment names."""
    prod = dict(list_jobs())["deploy.yml prod"]
    assert (prod["needs"], prod["environment"]) == ("dev", "prod")
    assert read(GITLAB)["prod"]["rules"][0]["when"] == "manual"


def test_a_fork_is_given_no_credentials() -> None:
    """Its preview is offline, and every step with a secret or a role is left out."""
    steps = dict(list_jobs())["preview.yml preview"]["steps"]
    for step in steps:
        if "secrets." in str(step) or "role-to-assume" in str(step) or "GH_TOKEN" in str(step):
            assert "env.FORK != 'true'" in step["if"], step
    (offline,) = [step for step in steps if "--offline" in step.get("run", "")]
    assert offline["if"] == "env.FORK == 'true'"
    job = dict(list_jobs())["preview.yml preview"]
    same = "github.event.pull_request.head.repo.full_name == github.repository && vars.RUNNER"
    assert same in job["runs-on"]  # else a stranger's code runs where the servers do
    assert same.partition(" && ")[0].replace("==", "!=") in job["env"]["FORK"]
    script = read(GITLAB)["preview"]["script"][0]
    assert '"$CI_MERGE_REQUEST_SOURCE_PROJECT_ID" = "$CI_MERGE_REQUEST_PROJECT_ID"' in script


def test_the_roles_trust_the_jobs_that_take_them() -> None:
    """A job of an environment has a token for that environment, and none for its branch."""
    trust = json.loads((ROOT / "docs/how-to/aws/github-trust.json").read_text())
    (statement,) = trust["Statement"]
    jobs = [job for name, job in list_jobs() if name.startswith("deploy.yml")]
    assert statement["Condition"]["StringEquals"][f"{ISSUER}:sub"] == [
        f"repo:OWNER/REPOSITORY:environment:{job['environment']}" for job in jobs
    ]
    for name, job in list_jobs():
        assert ("environment" in job) == ("DEPLOY_ROLE" in str(job)), name


def test_the_weekly_job_looks_for_every_stack() -> None:
    """Stacks may be on different targets, each with entries of its own in the locks."""
    jobs = dict(list_jobs())
    stacks = {job["env"]["STACK"] for name, job in jobs.items() if name.startswith("deploy.yml")}
    assert set(jobs["rebuild.yml locks"]["env"]["STACKS"].split()) == stacks
    assert set(read(GITLAB)["rebuild"]["variables"]["STACKS"].split()) == stacks


def test_what_jobs_write_into_the_checkout_is_ignored_by_git(tmp_path: Path) -> None:
    """Else each image of theirs would say of its commit that the tree was not clean."""
    written = ["comment.md", "changes.txt", ".cache/x", ".curl", "gha-creds-0123456789abcdef.json"]
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    words = ["git", "-C", str(tmp_path), "check-ignore", *written]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.stdout.split() == written
