"""The program that ships a server's journal, as a process of its own, to an emulated service."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from harness.checkout import ROOT
from immutable_servers.system.waiting import wait_until

FILES = ROOT / "packer/base/files"
FOLDER = FILES / "usr/local/lib/immutable"
UNIT = FILES / "etc/systemd/system/immutable-logs.service"
REGION, GROUP, STREAM = "eu-central-1", "/immutable-servers/web", "web-3f2a9c41-i-0123"
PROFILE = {"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "a/b+c", "Token": "TO/KEN="}
JOURNAL = """\
#!{python} -IS
import json, re, sys
after = int((re.findall("--after-cursor=c([0-9]+)", " ".join(sys.argv)) or [0])[0])
for text in open({file!r}).readlines()[after:]:
    line = json.loads(text)
    if len(line["MESSAGE"]) > 4096 and "--all" not in sys.argv:
        line["MESSAGE"] = None
    print(json.dumps(line))
"""
"""A `journalctl` whose journal is a file, and whose cursors are its lines' numbers; like the real
one it shows a long line to those only who say `--all` (journalctl(1))."""


class Metadata(BaseHTTPRequestHandler):
    """An instance's metadata with a profile's credentials."""

    def do_PUT(self) -> None:
        """Hand out the token."""
        self._answer("TOKEN")

    def do_GET(self) -> None:
        """Answer with the profile's role, and with its credentials."""
        self._answer("web" if self.path.endswith("/") else json.dumps(PROFILE))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own
        """Say nothing."""


@dataclass
class Server:
    """A server with a journal, and the emulated service."""

    place: Path
    metadata: str
    logs: Any
    said: int = 0

    def say(self, message: object) -> None:
        """Write a line of the application into the journal."""
        self.said += 1
        line = {
            "MESSAGE": message,
            "SYSLOG_IDENTIFIER": "app",
            "_PID": "400",
            "__REALTIME_TIMESTAMP": str(int(time.time() * 1_000_000)),
            "__CURSOR": f"c{self.said}",
        }
        with (self.place / "journal").open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    @contextmanager
    def start(self) -> "Iterator[subprocess.Popen[str]]":
        """Run what the unit starts, until the end at the most."""
        program = stage(self.place / "program", self.place, self.metadata)
        flags = program.read_text().partition("\n")[0].split()[1:]
        path = f"{self.place}:{os.environ['PATH']}"
        with subprocess.Popen(
            [sys.executable, *flags, str(program)],
            env={"PATH": path},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def read(self) -> list[str]:
        """Return what the service has of this server."""
        where = {"logGroupName": GROUP, "logStreamName": STREAM}
        try:
            found = self.logs.get_log_events(**where, startFromHead=True)["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found]

    def wait_for(self, *lines: str) -> None:
        """Wait until the service has these lines and no others."""
        wait_until("logs", 20, self.read, done=lambda found: found == [*lines], every=0.05)
        assert self.read() == [*lines]


def stage(folder: Path, place: Path, metadata: str) -> Path:
    """Copy what the unit starts, and its library, with places of a test; return the program."""
    changes = {
        "/usr/local/lib/immutable": str(folder),
        "/run/immutable/launch.json": str(place / "launch.json"),
        "/run/immutable-logs/cursor": str(place / "cursor"),
        "169.254.169.254": metadata,
        "PAUSE, LONGEST_PAUSE = 2.0, 60.0": "PAUSE, LONGEST_PAUSE = 0.05, 0.1",
    }
    (started,) = re.findall(r"^ExecStart=/(\S+)$", UNIT.read_text(), re.MULTILINE)
    folder.mkdir(exist_ok=True)
    left = {*changes}
    for source in [*FOLDER.glob("*.py"), FILES / started]:
        text = source.read_text()
        for old, new in changes.items():
            left -= {old} if old in text else set()
            text = text.replace(old, new)
        (folder / source.name).write_text(text)
    assert not left
    assert os.access(FILES / started, os.X_OK)
    return folder / Path(started).name


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Yield a server whose launch data says where its logs go; the group is not there yet."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    service = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    service.start()
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    Thread(target=metadata.serve_forever, daemon=True).start()
    endpoint = "http://{}:{}".format(*service.get_host_and_port())
    logs = {"group": GROUP, "region": REGION, "endpoint": endpoint}
    (tmp_path / "launch.json").write_text(json.dumps({"server": STREAM, "logs": logs}))
    (tmp_path / "journal").touch()
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(JOURNAL.format(python=sys.executable, file=str(tmp_path / "journal")))
    journalctl.chmod(0o755)
    urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")).close()  # noqa: S310 - http
    client = boto3.client("logs", region_name=REGION, endpoint_url=endpoint)
    yield Server(tmp_path, f"127.0.0.1:{metadata.server_port}", client)
    metadata.shutdown()
    metadata.server_close()
    service.stop()


def test_what_a_server_says_outlives_it(server: Server) -> None:
    """Its journal arrives in order, once each over a new start, and so do its last words.

    Lines with colours, or longer than what the journal shows by itself, arrive as well.
    """
    server.logs.create_log_group(logGroupName=GROUP)
    server.say([27, 91, 49, 109, 255])
    server.say("x" * 5000)
    began = ["app[400]: \x1b[1m\ufffd", "app[400]: " + "x" * 5000]
    with server.start() as first:
        server.wait_for(*began)
        first.kill()
    with server.start() as second:
        server.say("again")
        server.wait_for(*began, "app[400]: again")
        server.say("it ends")
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    assert server.read() == [*began, "app[400]: again", "app[400]: it ends"]


def test_what_is_refused_is_shipped_later(server: Server) -> None:
    """A group that is missing holds nothing up: the reason is said once, and no line is lost."""
    server.say("it serves")
    with server.start() as shipper:
        assert shipper.stderr is not None
        said = shipper.stderr.readline()
        assert said.startswith(
            "<4>CreateLogStream of /immutable-servers/web failed: ResourceNotFoundException"
        )
        server.logs.create_log_group(logGroupName=GROUP)
        server.wait_for("app[400]: it serves")
        shipper.terminate()
        assert shipper.stderr.read() == ""
    assert not {*PROFILE.values()} & {*said.split()}


def test_one_call_spans_no_more_than_the_service_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server says after a day without the service is shipped in the next call."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import ship_logs  # type: ignore[import-not-found]  # noqa: PLC0415 - a folder on servers

    hours = [0, 20, 30, 31]
    lines = [f'{{"__REALTIME_TIMESTAMP": "{3600 * (500_000 + hour)}000000"}}' for hour in hours]
    assert [len([*ship_logs._take(lines[at:])]) for at in (0, 2)] == [2, 2]


def test_the_signature_is_the_one_that_aws_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what AWS's own library signs the same call with."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import signed_calls  # type: ignore[import-not-found]  # noqa: PLC0415 - a folder on servers

    body, target = b'{"logGroupName": "web"}', "Logs_20140328.PutLogEvents"
    headers = signed_calls.sign("logs.example.com", REGION, target, body, PROFILE, 1_800_000_000)
    names = ("content-type", "host", "x-amz-date", "x-amz-target")
    request = AWSRequest("POST", "https://logs.example.com/", {n: headers[n] for n in names}, body)
    monkeypatch.setattr("botocore.auth.get_current_datetime", _find_moment)
    keys = Credentials(PROFILE["AccessKeyId"], PROFILE["SecretAccessKey"], PROFILE["Token"])
    SigV4Auth(keys, "logs", REGION).add_auth(request)
    assert headers["authorization"] == request.headers["Authorization"]


def _find_moment() -> Any:  # noqa: ANN401 - a datetime
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    return datetime.fromtimestamp(1_800_000_000, UTC)
