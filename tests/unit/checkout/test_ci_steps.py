"""What jobs of CI do with what a branch gives them, run as they are written, without an engine."""

import json
import os
import re
import shutil
import subprocess
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.checkout import ROOT, Checkout
from harness.ci_runner import Runner
from harness.gitlab_runner import PIPELINE, TOKEN, run_job, start_notes, try_job

LIMIT = 65_536
"""Characters that GitHub takes in a comment."""
LIE = "<!-- immutable-servers: dev -->\n### Stack `dev`: nothing to do\n"
DEAD = "#!/bin/sh\nexit 1\n"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/ci/providers/gitlab"

pytestmark = pytest.mark.skipif(
    not shutil.which("jq") or not shutil.which("curl"), reason="needs jq and curl"
)


class Bare(Checkout):
    """A folder; no command of ours is run in it."""

    def _find_home(self) -> Path:
        return self.root


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner with a checkout that holds a comment, and whose launcher dies at once."""
    root = tmp_path / "project"
    (root / ".immutable" / "comment").mkdir(parents=True)
    for place in ("comment.md", f".immutable/comment/{PIPELINE}-dev.md"):
        (root / place).write_text(LIE)
    runner = Runner.create(Bare(root), tmp_path / "runner")
    (root / "immutable").write_text(DEAD)
    return runner


def find_token(*folders: Path) -> list[Path]:
    """Return the files that hold the token."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if TOKEN.encode() in path.read_bytes()]


# GitHub


def test_a_committed_comment_is_not_posted(runner: Runner) -> None:
    """Of a preview that died the comment says just that, not what the branch holds."""
    runner.run("preview.yml", "preview", "Preview", fails=True)
    runner.run("preview.yml", "preview", "Summary")
    assert not runner.summary.exists()
    runner.hand_over()
    runner.run("preview.yml", "comment", "Comment")
    assert "`dev` at c0ffee ended before it said anything" in runner.comment
    assert "nothing to do" not in runner.comment


@pytest.mark.parametrize("letter", ["x", "😀", "`", "@"])
def test_a_comment_is_bounded_and_under_our_own_marker(runner: Runner, letter: str) -> None:
    """Whatever the branch's code wrote, it stands in the one comment of its stack, cut to fit."""
    runner.hand_over()
    written = runner.temporary / "written" / "comment.md"
    written.write_text(f"<!-- immutable-servers: prod -->\n{letter * 80_000}")
    runner.run("preview.yml", "comment", "Comment")
    assert runner.comment.startswith(
        "<!-- immutable-servers: dev -->\n<sub>Said by the branch's own"
    )
    assert runner.comment.count(letter) > 60_000
    assert len(runner.comment) <= LIMIT
    assert '.user.login == "github-actions[bot]"' in runner.asked


def test_bytes_that_are_no_text_and_links_are_no_harm(runner: Runner, tmp_path: Path) -> None:
    """A comment is made of them, too, and a link leads to no file of the runner's."""
    runner.hand_over()
    written = runner.temporary / "written" / "comment.md"
    written.write_bytes(b"a\xffb\x00c")
    runner.run("preview.yml", "comment", "Comment")
    assert runner.comment.endswith("a\ufffdb\x00c")
    written.unlink()
    (tmp_path / "secret").write_text(TOKEN)
    written.symlink_to(tmp_path / "secret")
    runner.run("preview.yml", "comment", "Comment")
    assert TOKEN not in runner.comment


# GitLab


def test_gitlab_a_committed_comment_is_not_posted(runner: Runner) -> None:
    """As on GitHub: the preview removes it before it begins."""
    assert try_job(runner, "preview").returncode == 1
    with start_notes() as notes:
        run_job(runner, "comment", CI_API_V4_URL=notes.url)
        assert "ended before it said anything" in notes.bodies[1]
        assert "nothing to do" not in notes.bodies[1]


def test_gitlab_a_note_is_bounded_and_ours(runner: Runner) -> None:
    """A note that somebody else has put our marker on stays theirs."""
    written = runner.root / f".immutable/comment/{PIPELINE}-dev.md"
    written.write_text(LIE + "x" * 80_000)
    with start_notes() as notes:
        notes.bodies[1], notes.others = LIE, {1}
        run_job(runner, "comment", CI_API_V4_URL=notes.url)
        run_job(runner, "comment", CI_API_V4_URL=notes.url)
        assert notes.bodies.keys() == {1, 2}
        assert notes.bodies[1] == LIE
        assert notes.bodies[2].count(LIE.partition("\n")[0]) == 1
        assert len(notes.bodies[2]) <= LIMIT
        assert notes.refused == []


def test_gitlab_a_token_is_in_no_file_when_a_call_fails(runner: Runner, tmp_path: Path) -> None:
    """Neither in the project, beside it, nor among the files for a moment; and it stops the job."""
    (tmp_path / "tmp").mkdir()
    gone = {"CI_API_V4_URL": "http://127.0.0.1:1", "TMPDIR": str(tmp_path / "tmp")}
    assert try_job(runner, "comment", **gone).returncode != 0
    assert find_token(tmp_path) == []
    assert [*(tmp_path / "tmp").iterdir()] == []


CREDENTIALS = {
    "aws": ({"AWS_ROLE_ARN": "arn", "CLOUD_TOKEN": TOKEN}, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "gcp": (
        {
            "GCP_ACCOUNT": "deploy@example.iam.gserviceaccount.com",
            "GCP_IDENTITY_PROVIDER": PROVIDER,
            "GOOGLE_CLOUD_TOKEN": TOKEN,
        },
        "GOOGLE_APPLICATION_CREDENTIALS",
    ),
}


@pytest.mark.parametrize("cloud", CREDENTIALS)
@pytest.mark.parametrize("end", ["true", "false"])
def test_gitlab_the_cloud_s_token_ends_with_the_job(tmp_path: Path, cloud: str, end: str) -> None:
    """It is in a private file while the job runs, outside of the project, and then in none."""
    (tmp_path / "tmp").mkdir()
    given, variable = CREDENTIALS[cloud]
    setup = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())["default"]["before_script"][1]
    look = (
        f'stat --format %a "${variable}"; cat "${variable}"; printf "\\n%s" "$(cat "$cloud_token")"'
    )
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", f"{setup}\n{look}\n{end}"],
        cwd=tmp_path,
        env={
            **os.environ,
            "TMPDIR": str(tmp_path / "tmp"),
            "CI_PROJECT_DIR": str(tmp_path / "project"),
            **given,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    mode, *said, token = done.stdout.splitlines()
    assert (mode, token) == ("600", TOKEN), done.stderr
    assert cloud == "aws" or names_the_account(json.loads("".join(said)), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def names_the_account(found: dict[str, Any], tmp_path: Path) -> bool:
    """Return whether Google's libraries are told who they are, and no token.

    https://google.aip.dev/auth/4117 has the keys of such a file.
    """
    assert TOKEN not in str(found)
    assert found["type"] == "external_account"
    assert found["audience"] == f"//iam.googleapis.com/{PROVIDER}"
    assert found["credential_source"]["file"].startswith(str(tmp_path))
    account = found["service_account_impersonation_url"].rpartition("/")[2]
    return bool(account == "deploy@example.iam.gserviceaccount.com:generateAccessToken")


def test_gitlab_the_locks_are_pushed_with_their_own_token(runner: Runner, tmp_path: Path) -> None:
    """Git gets it from no file, and asks nobody."""
    asked: list[str] = []

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(404 if asked[-1] else 401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    (runner.root / "packer").mkdir()
    (runner.root / "immutable").write_text(
        "#!/bin/sh\necho newer >> packer/lock\necho base: newer\n"
    )
    (runner.root / "packer" / "lock").write_text("")
    git = ["git", "-C", str(runner.root), "-c", "user.name=me", "-c", "user.email=me@example.com"]
    for words in (["init", "-q"], ["add", "packer"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    with HTTPServer(("127.0.0.1", 0), Host) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = {"CI_SERVER_PROTOCOL": "http", "CI_SERVER_FQDN": f"127.0.0.1:{server.server_port}"}
        done = try_job(runner, "rebuild", GIT_TERMINAL_PROMPT="0", **host)
        server.shutdown()
    assert done.returncode != 0
    assert asked[-1] == f"Basic {b64encode(f'token:{TOKEN}'.encode()).decode()}"
    assert find_token(tmp_path) == []


def test_gitlab_a_branch_s_job_is_given_no_token_that_can_push() -> None:
    """What a preview's job is given, the code of each branch can read: two tokens, two roles.

    DigitalOcean has nothing but tokens: a preview has its own, which reads.
    """
    text = (ROOT / ".gitlab-ci.yml").read_text()
    jobs = yaml.safe_load(text)
    assert "LOCKS_TOKEN" in str(jobs["rebuild"])
    assert "COMMENT_TOKEN" in str(jobs["comment"])
    others = {name: job for name, job in jobs.items() if name not in ("rebuild", "comment")}
    clouds = re.sub(r"CLOUD_TOKEN|DIGITALOCEAN_(\w+_)?TOKEN", "", str(others))
    assert "_TOKEN'" not in clouds
    given = {name: {*re.findall(r"\$DIGITALOCEAN_(\w+)_TOKEN", str(jobs[name]))} for name in jobs}
    assert {name: one for name, one in given.items() if one} == {
        "preview": {"PREVIEW"},
        **{name: {"DEPLOY"} for name in ("dev", "prod", "retire")},
        "rebuild": {"BAKE"},
    }
    assert "COMMENT_TOKEN" not in str(jobs["rebuild"])
    assert jobs["comment"]["variables"]["GIT_STRATEGY"] == "none"
    assert "./immutable" not in str(jobs["comment"])
