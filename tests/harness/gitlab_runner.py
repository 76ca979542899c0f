"""A runner of GitLab's: what a job of `.gitlab-ci.yml` has around it, and how its script is run."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from harness.checkout import ROOT
from harness.ci_runner import Runner

TOKEN = "the-token-of-the-project"  # noqa: S105 - a made-up one
PIPELINE = "77"
US, SOMEBODY = 11, 12
"""Ids of the user that the token is of, and of another one."""
OURS, FORK = "7", "8"
"""Ids of the project that a merge request is for, and of a fork."""


@dataclass
class Notes:
    """The notes of merge request 3, as GitLab's API holds them.

    Attributes:
        bodies: The text of each note, by its id.
        others: Ids of the notes that somebody else wrote.
        refused: Requests of somebody without the token, or for anything else.
    """

    url: str = ""
    bodies: dict[int, str] = field(default_factory=dict)
    others: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


@contextmanager
def start_notes() -> Iterator[Notes]:
    """Yield the notes, served on a port of this machine until the block ends."""
    notes = Notes()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            whole = urlsplit(self.path).path
            path = whole.removeprefix(f"/projects/{OURS}/merge_requests/3/notes")
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            ours = self.headers["PRIVATE-TOKEN"] == TOKEN
            known = path.removeprefix("/") in {str(at) for at in notes.bodies.keys() - notes.others}
            if not ours or (path and not known and whole != "/user"):
                notes.refused.append(f"{self.command} {self.path}")
                self.send_error(404)
                return
            if sent:
                number = int(path.removeprefix("/")) if path else len(notes.bodies) + 1
                notes.bodies[number] = json.loads(sent)["body"]
            found = [
                {
                    "id": number,
                    "body": body,
                    "author": {"id": SOMEBODY if number in notes.others else US},
                }
                for number, body in notes.bodies.items()
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"id": US} if whole == "/user" else found).encode())

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        notes.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield notes
        finally:
            server.shutdown()


def run_job(
    runner: Runner, job: str, part: str = "script", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a part of a job as it is written, as the runner's bash does; it must end well."""
    done = try_job(runner, job, part, **variables)
    assert done.returncode == 0, done.stderr
    return done


def try_job(
    runner: Runner, job: str, part: str = "script", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a part of a job as it is written, as the runner's bash does."""
    read = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(read[job][part])],
        cwd=runner.root,
        env={
            **{key: value for key, value in runner.environment.items() if "GITHUB" not in key},
            "GITLAB_CI": "true",
            "CI_PROJECT_DIR": str(runner.root),
            "CI_PROJECT_ID": OURS,
            "CI_PROJECT_PATH": "me/shop",
            "CI_SERVER_PROTOCOL": "https",
            "CI_SERVER_FQDN": "gitlab.example",
            "CI_MERGE_REQUEST_PROJECT_ID": OURS,
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": OURS,
            "CI_MERGE_REQUEST_IID": "3",
            "CI_PIPELINE_ID": PIPELINE,
            "CI_COMMIT_SHA": "c0ffee",
            "COMMENT_TOKEN": TOKEN,
            "LOCKS_TOKEN": TOKEN,
            **variables,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=runner.project.timeout,
        check=False,
    )


def serve_pushes(folder: Path, url: str) -> dict[str, str]:
    """Make a repository that takes pushes to `url`; return the variables that lead git there."""
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    options = ["config", "receive.advertisePushOptions", "true"]
    subprocess.run(["git", "-C", folder, *options], check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
    }
