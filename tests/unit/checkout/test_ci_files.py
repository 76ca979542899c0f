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
    values = {"STACK": "dev", "RUNNER_TEMP": "temp", "written": "comment.md"}
    lines = [line for script in scripts for line in find_command_lines(script, values)]
    assert len(lines) >= 7
    assert {parse(line) for line in lines} == {"preview", "retire", "up", "update"}


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
        assert ("./immutable" in str(job)) == ("id-token" in job["permissions"]), name
        assert "AWS_ACCESS_KEY_ID" not in str(job), name


def test_what_runs_a_branch_s_code_can_write_nothing() -> None:
    """Of a pull request's jobs one runs its code, and another one writes, without code and secrets.

    Code of an earlier step may be the program that a later step runs; so they share no job.
    """
    jobs = {name: job for name, job in list_jobs() if name.startswith("preview.yml")}
    running = [job for job in jobs.values() if "checkout" in str(job) or "./immutable" in str(job)]
    writing = [job for job in jobs.values() if {*job["permissions"]} - {"contents", "id-token"}]
    assert running == [jobs["preview.yml preview"]]
    assert writing == [jobs["preview.yml comment"]]
    (job,) = running
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "github.token" not in str(job)
    (job,) = writing
    assert job["permissions"] == {"pull-requests": "write"}
    assert "secrets." not in str(job)
    assert job["runs-on"] == "ubuntu-24.04"  # and not a machine that a branch's code was on
    assert not any("actions/cache" in step.get("uses", "") for step in job["steps"])


def test_a_branch_s_code_has_a_runner_of_its_own() -> None:
    """The machine that deploys never runs what nobody has read."""
    text = (ROOT / ".github/workflows/preview.yml").read_text()
    assert "vars.PREVIEW_RUNNER" in text
    assert not re.search(r"vars\.RUNNER\b", text)


def test_each_passphrase_is_of_one_environment() -> None:
    """A preview has one of its own for its stack; a deployment has that of its environment."""
    jobs = dict(list_jobs())
    named = {
        name: re.findall(r"secrets(?:\.|\[format\(')(\w*PASSPHRASE\w*)", str(job))
        for name, job in jobs.items()
    }
    assert {name: found for name, found in named.items() if found} == {
        "deploy.yml dev": ["PULUMI_CONFIG_PASSPHRASE"],
        "deploy.yml prod": ["PULUMI_CONFIG_PASSPHRASE"],
        "preview.yml preview": ["PREVIEW_PASSPHRASE_"],
        "retire.yml retire": ["RETIRE_PASSPHRASE_"],
    }
    script = read(GITLAB)["preview"]["script"][0]
    assert 'printenv "PREVIEW_PASSPHRASE_$STACK"' in script
    for name in ("deploy.yml dev", "deploy.yml prod", "rebuild.yml locks"):
        assert jobs[name]["environment"] == name.split()[1]
    assert jobs["retire.yml retire"]["environment"] == "retire"
    assert "LOCKS_TOKEN" not in str(
        {name: job for name, job in jobs.items() if "locks" not in name}
    )


def test_no_job_reads_a_comment_that_lies_in_the_checkout() -> None:
    """A committed one would be posted in the name of a preview that died."""
    text = (ROOT / ".github/workflows/preview.yml").read_text()
    places = re.findall(r"(\S*)/comment\.md|[^/](comment\.md)", text)
    assert {place for place, _ in places} == {
        '"$RUNNER_TEMP',
        "}}",
        'written="$RUNNER_TEMP/written',
    }


def test_runs_on_one_stack_wait_for_each_other() -> None:
    """Each stack has a concurrency group of its own, and no update is cancelled half-way."""
    jobs = dict(list_jobs())
    groups = {name: job["concurrency"] for name, job in jobs.items()}
    for stack in ("dev", "prod"):
        expected = {"group": f"stack-{stack}", "cancel-in-progress": False}
        assert groups[f"deploy.yml {stack}"] == expected
        assert read(GITLAB)[stack]["resource_group"] == f"stack-{stack}"
    assert "matrix.stack" in groups["preview.yml preview"]["group"]
    expected = {"group": "stack-${{ matrix.stack }}", "cancel-in-progress": False}
    assert groups["retire.yml retire"] == expected
    assert read(GITLAB)["retire"]["resource_group"] == "stack-$STACK"


def test_prod_comes_after_dev_and_an_approval() -> None:
    """Main goes to dev first; prod waits for dev, and for whom its environment names."""
    prod = dict(list_jobs())["deploy.yml prod"]
    assert (prod["needs"], prod["environment"]) == ("dev", "prod")
    assert read(GITLAB)["prod"]["rules"][0]["when"] == "manual"


def test_a_fork_is_given_no_credentials() -> None:
    """Its preview is offline, and every step with a secret or a role is left out."""
    steps = dict(list_jobs())["preview.yml preview"]["steps"]
    for step in steps:
        if re.search("secrets[.[]|role-to-assume|artifact", str(step)):
            assert "env.FORK != 'true'" in step["if"], step
    (offline,) = [step for step in steps if "--offline" in step.get("run", "")]
    assert offline["if"] == "env.FORK == 'true'"
    job = dict(list_jobs())["preview.yml preview"]
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    assert f"{same} && vars.PREVIEW_RUNNER" in job["runs-on"]  # else it has a stranger's code
    assert same.replace("==", "!=") in job["env"]["FORK"]
    assert same in dict(list_jobs())["preview.yml comment"]["if"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID" in str(
        read(GITLAB)["comment"]["rules"]
    )
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
        takes_role = bool(re.search("(DEPLOY|BAKE|RETIRE)_ROLE", str(job)))
        assert ("environment" in job) == takes_role, name


def test_a_job_s_credentials_last_as_long_as_the_job() -> None:
    """Else the call that takes traffic back would be refused, as every other one.

    Nothing renews a role's session on GitHub, which lasts an hour where nobody asks for more. On
    GitLab the SDK renews it by the job's token, which ends at the job's timeout:
    https://docs.gitlab.com/ci/secrets/id_token_authentication/
    """
    for name, job in list_jobs():
        seconds = 60 * job["timeout-minutes"]
        for step in job["steps"]:
            if "role-to-assume" in step.get("with", {}):
                assert step["with"].get("role-duration-seconds", 3600) >= seconds, name
            if "AWS_CREDENTIAL_EXPIRATION" in step.get("run", ""):
                assert f"+{seconds} seconds" in step["run"]
        if name.startswith("deploy.yml"):
            assert "AWS_CREDENTIAL_EXPIRATION" in str(job)
    assert {read(GITLAB)[stack]["timeout"] for stack in ("dev", "prod")} == {"2h"}


def test_the_scheduled_jobs_look_after_every_stack() -> None:
    """Stacks may be on different targets, with entries of their own in the locks, and standbys."""
    jobs = dict(list_jobs())
    stacks = {job["env"]["STACK"] for name, job in jobs.items() if name.startswith("deploy.yml")}
    assert set(jobs["retire.yml retire"]["strategy"]["matrix"]["stack"]) == stacks
    (matrix,) = read(GITLAB)["retire"]["parallel"]["matrix"]
    assert set(matrix["STACK"]) == stacks
    assert read(ROOT / ".github/workflows/retire.yml")[True]["schedule"]
    rules = [read(GITLAB)[name]["rules"][0]["if"] for name in ("retire", "rebuild")]
    assert [rule.partition("&& ")[2] for rule in rules] == ["$RETIRE", "$RETIRE == null"]
    assert set(jobs["rebuild.yml locks"]["env"]["STACKS"].split()) == stacks
    assert set(read(GITLAB)["rebuild"]["variables"]["STACKS"].split()) == stacks


def test_what_jobs_write_into_the_checkout_is_ignored_by_git(tmp_path: Path) -> None:
    """Else each image of theirs would say of its commit that the tree was not clean."""
    written = [
        ".immutable/comment/1-dev.md",
        "changes.txt",
        ".cache/x",
        "gha-creds-0123456789ab.json",
    ]
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    words = ["git", "-C", str(tmp_path), "check-ignore", *written]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.stdout.split() == written
