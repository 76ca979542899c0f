"""The scripts of `.gitlab-ci.yml`, run as they are written."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.ci_runner import Runner
from harness.engine.project import Project
from harness.gitlab_runner import FORK, PIPELINE, run_job, serve_pushes, start_notes

LOCK = "packer/base/upstream.lock.json"
BRANCH = "immutable-servers/locks"


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("curl"), reason="needs jq and curl")
def test_the_jobs_work_as_written(serving: Project, tmp_path: Path) -> None:
    """A preview is one note, written again in its place; dev is updated; a newer lock is pushed.

    A fork's preview asks nobody. A standby that is due is retired. Where nothing is newer
    nothing is pushed.
    """
    (serving.root / ".gitignore").write_text("/immutable\n/.immutable/\n/changes.txt\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        git(serving.root, "-c", "user.name=me", "-c", "user.email=me@example.com", *words)
    old = serving.live()
    serving.edit("app/server.txt", "two")
    runner = Runner.create(serving, tmp_path / "runner")
    comment = serving.root / ".immutable" / "comment" / f"{PIPELINE}-dev.md"
    nobody = {"PULUMI_BACKEND_URL": "https://127.0.0.1:1"}
    fork = {"CI_PROJECT_ID": FORK, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": FORK}
    with start_notes() as notes:
        notes.bodies[1] = "a reviewer's words"
        api = {"CI_API_V4_URL": notes.url}
        run_job(runner, "preview", **fork, **nobody)
        assert "offline" in comment.read_text()
        run_job(runner, "preview")
        assert f"generation {old} → " in comment.read_text()
        run_job(runner, "comment", **api)
        assert f"generation {old} → " in notes.bodies[2]
        comment.write_text(comment.read_text() + "\nonce more\n")
        run_job(runner, "comment", **api)
        assert notes.bodies.keys() == {1, 2}
        assert notes.bodies[2].endswith("\nonce more\n")
        assert notes.refused == []

    said = run_job(runner, "dev")
    assert "section_start:" in said.stderr
    assert serving.live() != old
    serving.assert_serving()

    assert "No standby is due" in run_job(runner, "retire").stderr
    serving.services["web"]["keep"] = 0
    serving.write_settings()
    runner.run("retire.yml", "retire", "Retire")  # GitHub's says the same command
    assert serving.states()[old] == "retired"
    assert "No standby is due" in run_job(runner, "retire").stderr

    pushes = serve_pushes(tmp_path / "origin", "https://gitlab.example/me/shop.git")
    (serving.world / "upstream").write_text("sha256:newer")
    run_job(runner, "rebuild", **pushes)
    pushed = json.loads(git(tmp_path / "origin", "show", f"{BRANCH}:{LOCK}"))
    assert pushed["entries"]["instant"]["x86_64"]["release"] == "sha256:newer"
    assert git(tmp_path / "origin", "show", "--format=", "--name-only", BRANCH) == f"{LOCK}\n"
    git(tmp_path / "origin", "branch", "-D", BRANCH)
    run_job(runner, "rebuild", **pushes)
    assert git(tmp_path / "origin", "branch") == ""


def git(folder: Path, *words: str) -> str:
    """Run git, and return what it printed."""
    done = subprocess.run(["git", "-C", folder, *words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()
